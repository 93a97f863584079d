//! Gradient of a filter: the adjoints of the transforms of the forward pass.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    PLANE, POINTS, TileBlock, blocks, filter, tiles,
    transforms::{self, FeatureMap, GRADIENT_TRANSFORM, INPUT_TRANSFORM, TransformScratch},
};
use crate::{
    conv3d::cpu::ConvShape,
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panel},
    simd,
};

/// Partial sums over the volume: a constant, for results that do not depend on the number of threads.
const PARTS: usize = 4;

/// `[3, 3, 3, in_channels, out_channels]` from `[batch, x, y, z, in_channels]` and the gradient of the output.
pub(in crate::conv3d) fn weight_gradient(shape: ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let panels = Panels::new(shape.out_channels);
    let rows = shape.in_channels.next_multiple_of(panels.tile_rows);
    let slices = shape.batch * tiles(shape.size[0]);
    let part = slices.div_ceil(PARTS);
    let parts = slices.div_ceil(part);
    let operands = Operands { shape, panels, rows, input, gradient };
    let sums: Vec<Vec<f32>> = (0..POINTS * parts)
        .into_par_iter()
        .map(|task| {
            let from = task % parts * part;
            operands.sum(task / parts, from..(from + part).min(slices))
        })
        .collect();
    let planes: Vec<Vec<f32>> = sums.chunks(parts).map(sum_parts).collect();
    filter::gather_gradient(shape, panels, rows, &planes)
}

fn sum_parts(parts: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = parts[0].clone();
    for part in &parts[1..] {
        simd::add(&mut sum, part);
    }
    sum
}

/// Both operands of the product.
#[derive(Clone, Copy)]
struct Operands<'a> {
    shape: ConvShape,
    panels: Panels,
    /// Input channels, rounded up to whole register tiles.
    rows: usize,
    input: &'a [f32],
    gradient: &'a [f32],
}

impl<'a> Operands<'a> {
    /// Gradient of the points of the filter in one plane, `[panels, 16 points, rows, width]`, from the tiles of these
    /// slices along x of all samples.
    fn sum(&self, plane: usize, slices: Range<usize>) -> Vec<f32> {
        let Self { shape, panels, rows, .. } = *self;
        let arch = Arch::new();
        let volume = shape.size.iter().product::<usize>();
        let mut sums = vec![0.0; panels.count * PLANE * rows * panels.width];
        let mut scratch = WinogradGradientScratch::default();
        let map = |values: &'a [f32], sample: usize, channels: usize| FeatureMap {
            values: &values[sample * volume * channels..][..volume * channels],
            size: shape.size,
            channels,
        };
        for slice in slices {
            let (sample, x) = (slice / tiles(shape.size[0]), slice % tiles(shape.size[0]));
            let input = map(self.input, sample, shape.in_channels);
            let gradient = map(self.gradient, sample, shape.out_channels);
            for block in blocks(x, shape.size) {
                let (scratch, sums) = (&mut scratch, &mut sums);
                arch.dispatch(BlockGradient { input, gradient, block, plane, panels, rows, scratch, sums });
            }
        }
        sums
    }
}

/// Buffers a task reuses.
#[derive(Default)]
struct WinogradGradientScratch {
    transform: TransformScratch,
    input: Vec<f32>,
    gradient: Vec<f32>,
}

/// One block: transforms of both operands, and their products over its tiles.
struct BlockGradient<'a> {
    input: FeatureMap<'a>,
    gradient: FeatureMap<'a>,
    block: TileBlock,
    plane: usize,
    panels: Panels,
    rows: usize,
    scratch: &'a mut WinogradGradientScratch,
    sums: &'a mut [f32],
}

impl WithSimd for BlockGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, gradient, block, plane, panels, rows, scratch, sums } = self;
        let (in_channels, out_channels, width) = (input.channels, gradient.channels, panels.width);
        let count = block.rows * tiles(input.size[2]);
        // A register tile may read past the last channel into the next tile, and past the last tile; the results lie
        // in padding rows and columns.
        let WinogradGradientScratch { transform, input: input_points, gradient: gradient_points } = scratch;
        input_points.resize(transforms::points_len(count, in_channels) + rows, 0.0);
        gradient_points.resize(transforms::points_len(count, out_channels) + width, 0.0);
        transforms::transform(&INPUT_TRANSFORM, input, block, plane, transform, count, input_points);
        transforms::transform(&GRADIENT_TRANSFORM, gradient, block, plane, transform, count, gradient_points);
        for (index, sums) in sums.chunks_exact_mut(rows * width).enumerate() {
            let (panel, point) = (index / PLANE, index % PLANE);
            let lhs = Lhs {
                values: &input_points[point * count * in_channels..],
                row_stride: 1,
                k_stride: in_channels,
            };
            let gradients = &gradient_points[point * count * out_channels + panel * width..];
            let rhs = Rhs { values: gradients, k_stride: out_channels };
            let dst = Dst { values: sums, row_stride: width, rows, beta: Beta::One };
            multiply_panel(simd, panels, count, lhs, rhs, dst);
        }
    }
}
