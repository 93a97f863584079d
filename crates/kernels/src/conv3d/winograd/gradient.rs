//! The gradient of a filter: the transforms of the forward pass, turned around.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    Block, PLANE, POINTS, blocks, filter,
    points::{self, Map, OF_GRADIENT, OF_INPUT, Steps},
    tiles,
};
use crate::{
    conv3d::cpu::Shape,
    product::{Into, Left, Panels, Right, Sums, multiply_panel},
    vector,
};

/// Parts of the volume that are summed apart: fixed, so that the result does not depend on threads.
const PARTS: usize = 4;

/// `[3, 3, 3, inputs, outputs]` from `[batch, x, y, z, inputs]` and the output's gradient.
pub(in crate::conv3d) fn weight_gradient(shape: Shape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let panels = Panels::of(shape.outputs);
    let rows = shape.inputs.next_multiple_of(panels.rows);
    let slices = shape.batch * tiles(shape.size[0]);
    let part = slices.div_ceil(PARTS);
    let parts = slices.div_ceil(part);
    let maps = Maps { shape, panels, rows, input, gradient };
    let sums: Vec<Vec<f32>> = (0..POINTS * parts)
        .into_par_iter()
        .map(|task| {
            let from = task % parts * part;
            maps.sum(task / parts, from..(from + part).min(slices))
        })
        .collect();
    let planes: Vec<Vec<f32>> = sums.chunks(parts).map(sum_of).collect();
    filter::gather_gradient(shape, panels, rows, &planes)
}

fn sum_of(parts: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = parts[0].clone();
    for part in &parts[1..] {
        vector::add(&mut sum, part);
    }
    sum
}

/// Both sides of the product.
#[derive(Clone, Copy)]
struct Maps<'a> {
    shape: Shape,
    panels: Panels,
    /// Input channels, rounded up to what a register tile computes.
    rows: usize,
    input: &'a [f32],
    gradient: &'a [f32],
}

impl<'a> Maps<'a> {
    /// The gradient of the filter's points in one plane, `[panels, 16 points, rows, width]`, from the tiles
    /// of these slices along x of all samples.
    fn sum(&self, plane: usize, slices: Range<usize>) -> Vec<f32> {
        let Self { shape, panels, rows, .. } = *self;
        let arch = Arch::new();
        let volume = shape.size.iter().product::<usize>();
        let mut sums = vec![0.0; panels.count * PLANE * rows * panels.width];
        let mut room = Room::default();
        let map = |values: &'a [f32], sample: usize, channels: usize| Map {
            values: &values[sample * volume * channels..][..volume * channels],
            size: shape.size,
            channels,
        };
        for slice in slices {
            let (sample, x) = (slice / tiles(shape.size[0]), slice % tiles(shape.size[0]));
            let input = map(self.input, sample, shape.inputs);
            let gradient = map(self.gradient, sample, shape.outputs);
            for block in blocks(x, shape.size) {
                let (room, sums) = (&mut room, &mut sums);
                arch.dispatch(Accumulate { input, gradient, block, plane, panels, rows, room, sums });
            }
        }
        sums
    }
}

/// What one task uses again from block to block.
#[derive(Default)]
struct Room {
    steps: Steps,
    input: Vec<f32>,
    gradient: Vec<f32>,
}

/// One block: points of both sides, and their products over its tiles.
struct Accumulate<'a> {
    input: Map<'a>,
    gradient: Map<'a>,
    block: Block,
    plane: usize,
    panels: Panels,
    rows: usize,
    room: &'a mut Room,
    sums: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, gradient, block, plane, panels, rows, room, sums } = self;
        let (inputs, outputs, width) = (input.channels, gradient.channels, panels.width);
        let count = block.rows * tiles(input.size[2]);
        // A register tile may read past the last channel into the next tile, and past the last tile here;
        // what it makes of that lies in rows and columns that nobody reads.
        let Room { steps, input: inputs_at, gradient: gradients_at } = room;
        inputs_at.resize(points::room(count, inputs) + rows, 0.0);
        gradients_at.resize(points::room(count, outputs) + width, 0.0);
        points::transform(&OF_INPUT, input, block, plane, steps, count, inputs_at);
        points::transform(&OF_GRADIENT, gradient, block, plane, steps, count, gradients_at);
        for (index, sums) in sums.chunks_exact_mut(rows * width).enumerate() {
            let (panel, within) = (index / PLANE, index % PLANE);
            let left = Left { values: &inputs_at[within * count * inputs..], row: 1, term: inputs };
            let gradients = &gradients_at[within * count * outputs + panel * width..];
            let right = Right { values: gradients, term: outputs };
            let into = Into { values: sums, row: width, rows, sums: Sums::Continued };
            multiply_panel(simd, panels, count, left, right, into);
        }
    }
}
