//! A linear layer on slices.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    fresh::{Cut, by_blocks},
    matrix::{Into as Onto, Matrix, multiply},
    product::{Into, Left, Panels, Right, Sums, multiply_panel},
    vector,
};

/// Rows one task works on at most: enough to use a panel of the weight often, few enough to stay in the L2 cache.
const ROWS: usize = 256;
/// Tasks that few rows are shared out to, and the least rows that are worth reading all of the weight.
const TASKS: usize = 8;
const LEAST_ROWS: usize = 32;
/// Parts the gradient of the weight is summed in: fixed, so that the result does not depend on threads.
const PARTS: usize = 8;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// `[rows, outputs]`; an empty bias stands for none.
pub(crate) fn forward(shape: Shape, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let panels = Panels::of(shape.outputs);
    let packed = pack(shape, panels, |input, output| weight[input * shape.outputs + output]);
    product(shape, panels, input, &packed, bias)
}

/// `gradient · weightᵀ`, `[rows, inputs]`.
pub(crate) fn input_gradient(shape: Shape, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let panels = Panels::of(shape.inputs);
    let Shape { rows, inputs, outputs } = shape;
    let turned = Shape { rows, inputs: outputs, outputs: inputs };
    let packed = pack(turned, panels, |output, input| weight[input * outputs + output]);
    product(turned, panels, gradient, &packed, &[])
}

/// The weight by panels, `[panels, inputs, width]`; columns beyond the outputs are zero.
pub(crate) fn pack(shape: Shape, panels: Panels, weight: impl Fn(usize, usize) -> f32 + Sync) -> Vec<f32> {
    let mut packed = vec![0.0; panels.columns() * shape.inputs];
    packed.par_chunks_mut(shape.inputs * panels.width).enumerate().for_each(|(panel, packed)| {
        let filled = panels.filled(panel, shape.outputs);
        for (input, row) in packed.chunks_exact_mut(panels.width).enumerate() {
            for (column, packed) in row[..filled].iter_mut().enumerate() {
                *packed = weight(input, panel * panels.width + column);
            }
        }
    });
    packed
}

fn product(shape: Shape, panels: Panels, input: &[f32], packed: &[f32], bias: &[f32]) -> Vec<f32> {
    let Shape { inputs, outputs, .. } = shape;
    let arch = Arch::new();
    let rows = shape.rows.div_ceil(TASKS).next_multiple_of(LEAST_ROWS).min(ROWS);
    by_blocks(Cut::blocks(shape.rows * outputs, rows * outputs), |room: &mut Room, at, output| {
        let input = &input[at / outputs * inputs..][..output.len() / outputs * inputs];
        arch.dispatch(Block { shape, panels, input, packed, bias, room, output });
    })
}

/// What one thread uses again from block to block.
#[derive(Default)]
struct Room {
    input: Vec<f32>,
    output: Vec<f32>,
}

/// Some rows of the output.
struct Block<'a> {
    shape: Shape,
    panels: Panels,
    input: &'a [f32],
    packed: &'a [f32],
    bias: &'a [f32],
    room: &'a mut Room,
    output: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape: Shape { inputs, outputs, .. }, panels, input, packed, bias, room, output } = self;
        let count = input.len() / inputs;
        let rows = count.next_multiple_of(panels.rows);
        let mut input = input;
        if rows > count {
            room.input.clear();
            room.input.extend_from_slice(input);
            room.input.resize(rows * inputs, 0.0);
            input = &room.input;
        }
        room.output.resize(rows * panels.width, 0.0);
        for (panel, packed) in packed.chunks_exact(inputs * panels.width).enumerate() {
            let (first, filled) = (panel * panels.width, panels.filled(panel, outputs));
            let left = Left { values: input, row: inputs, term: 1 };
            let right = Right { values: packed, term: panels.width };
            let into = Into { values: &mut room.output, row: panels.width, rows, sums: Sums::Fresh };
            multiply_panel(simd, panels, inputs, left, right, into);
            let sums = room.output.chunks_exact(panels.width);
            for (output, sums) in output.chunks_exact_mut(outputs).zip(sums) {
                let output = &mut output[first..first + filled];
                if bias.is_empty() {
                    output.copy_from_slice(&sums[..filled]);
                } else {
                    for ((output, sum), bias) in output.iter_mut().zip(sums).zip(&bias[first..]) {
                        *output = sum + bias;
                    }
                }
            }
        }
    }
}

/// The gradients of weight, `[inputs, outputs]`, and bias, `[outputs]`.
pub(crate) fn weight_gradient(shape: Shape, input: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let Shape { rows, inputs, outputs } = shape;
    let part = rows.div_ceil(PARTS).max(1);
    let parts: Vec<[Vec<f32>; 2]> = input
        .par_chunks(part * inputs)
        .zip(gradient.par_chunks(part * outputs))
        .map(|(input, gradient)| {
            let rows = input.len() / inputs;
            let mut weight = vec![0.0; inputs * outputs];
            let left = Matrix::rows(input, rows, inputs, inputs).transposed();
            let right = Matrix::rows(gradient, rows, outputs, outputs);
            multiply(&mut weight, outputs, Onto::Replace, 1.0, left, right);
            let mut bias = vec![0.0; outputs];
            gradient.chunks_exact(outputs).for_each(|row| vector::add(&mut bias, row));
            [weight, bias]
        })
        .collect();
    let (mut weight, mut bias) = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
    for [weights, biases] in parts {
        vector::add(&mut weight, &weights);
        vector::add(&mut bias, &biases);
    }
    (weight, bias)
}
