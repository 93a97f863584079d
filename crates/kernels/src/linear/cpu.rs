//! The linear layer on slices.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    matrix::{Matrix, Output, multiply},
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panel},
    simd,
    uninit::{Chunking, par_init_chunks},
};

/// Most rows of a task: enough to reuse a panel of the weight, few enough for the L2 cache.
const MAX_ROWS: usize = 256;
/// Tasks that few rows are divided into, and the fewest rows that are worth reading the whole weight.
const TASKS: usize = 8;
const MIN_ROWS: usize = 32;
/// Partial sums of the weight gradient: a constant, for results that do not depend on the number of threads.
const PARTS: usize = 8;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearShape {
    pub(crate) rows: usize,
    pub(crate) in_features: usize,
    pub(crate) out_features: usize,
}

/// `[rows, out_features]`; an empty bias stands for none.
pub(crate) fn forward(shape: LinearShape, input: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let panels = Panels::new(shape.out_features);
    let packed = pack(shape, panels, |input, output| weight[input * shape.out_features + output]);
    product(shape, panels, input, &packed, bias)
}

/// `grad · weightᵀ`, `[rows, in_features]`.
pub(crate) fn input_gradient(shape: LinearShape, grad: &[f32], weight: &[f32]) -> Vec<f32> {
    let LinearShape { rows, in_features, out_features } = shape;
    let panels = Panels::new(in_features);
    let transposed = LinearShape { rows, in_features: out_features, out_features: in_features };
    let packed = pack(transposed, panels, |output, input| weight[input * out_features + output]);
    product(transposed, panels, grad, &packed, &[])
}

/// The weight in panels, `[panels, in_features, width]`, padded with zeros.
pub(crate) fn pack(
    shape: LinearShape,
    panels: Panels,
    weight: impl Fn(usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let mut packed = vec![0.0; panels.padded_columns() * shape.in_features];
    packed.par_chunks_mut(shape.in_features * panels.width).enumerate().for_each(|(panel, packed)| {
        let valid = panels.valid_columns(panel, shape.out_features);
        for (input, row) in packed.chunks_exact_mut(panels.width).enumerate() {
            for (column, packed) in row[..valid].iter_mut().enumerate() {
                *packed = weight(input, panel * panels.width + column);
            }
        }
    });
    packed
}

fn product(shape: LinearShape, panels: Panels, input: &[f32], packed: &[f32], bias: &[f32]) -> Vec<f32> {
    let LinearShape { in_features, out_features, .. } = shape;
    let arch = Arch::new();
    let rows = shape.rows.div_ceil(TASKS).next_multiple_of(MIN_ROWS).min(MAX_ROWS);
    let chunking = Chunking::blocks(shape.rows * out_features, rows * out_features);
    par_init_chunks(chunking, |scratch: &mut LinearScratch, offset, output| {
        let rows = output.len() / out_features;
        let input = &input[offset / out_features * in_features..][..rows * in_features];
        arch.dispatch(OutputRows { shape, panels, input, packed, bias, scratch, output });
    })
}

/// Buffers a thread reuses.
#[derive(Default)]
struct LinearScratch {
    input: Vec<f32>,
    output: Vec<f32>,
}

/// Some rows of the output.
struct OutputRows<'a> {
    shape: LinearShape,
    panels: Panels,
    input: &'a [f32],
    packed: &'a [f32],
    bias: &'a [f32],
    scratch: &'a mut LinearScratch,
    output: &'a mut [f32],
}

impl WithSimd for OutputRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, panels, mut input, packed, bias, scratch, output } = self;
        let LinearShape { in_features, out_features, .. } = shape;
        let count = input.len() / in_features;
        let rows = count.next_multiple_of(panels.tile_rows);
        if rows > count {
            scratch.input.clear();
            scratch.input.extend_from_slice(input);
            scratch.input.resize(rows * in_features, 0.0);
            input = &scratch.input;
        }
        scratch.output.resize(rows * panels.width, 0.0);
        for (panel, packed) in packed.chunks_exact(in_features * panels.width).enumerate() {
            let (first, valid) = (panel * panels.width, panels.valid_columns(panel, out_features));
            let lhs = Lhs { values: input, row_stride: in_features, k_stride: 1 };
            let rhs = Rhs { values: packed, k_stride: panels.width };
            let dst = Dst { values: &mut scratch.output, row_stride: panels.width, rows, beta: Beta::Zero };
            multiply_panel(simd, panels, in_features, lhs, rhs, dst);
            let sums = scratch.output.chunks_exact(panels.width);
            for (output, sums) in output.chunks_exact_mut(out_features).zip(sums) {
                let output = &mut output[first..first + valid];
                if bias.is_empty() {
                    output.copy_from_slice(&sums[..valid]);
                } else {
                    for ((output, sum), bias) in output.iter_mut().zip(sums).zip(&bias[first..]) {
                        *output = sum + bias;
                    }
                }
            }
        }
    }
}

/// Gradients of the weight, `[in_features, out_features]`, and the bias, `[out_features]`.
pub(crate) fn weight_gradient(shape: LinearShape, input: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let LinearShape { rows, in_features, out_features } = shape;
    let part_rows = rows.div_ceil(PARTS).max(1);
    let parts: Vec<[Vec<f32>; 2]> = input
        .par_chunks(part_rows * in_features)
        .zip(grad.par_chunks(part_rows * out_features))
        .map(|(input, grad)| {
            let rows = input.len() / in_features;
            let mut weight = vec![0.0; in_features * out_features];
            let lhs = Matrix::from_rows(input, rows, in_features, in_features).transpose();
            let rhs = Matrix::from_rows(grad, rows, out_features, out_features);
            multiply(&mut weight, out_features, Output::Overwrite, 1.0, lhs, rhs);
            let mut bias = vec![0.0; out_features];
            grad.chunks_exact(out_features).for_each(|row| simd::add(&mut bias, row));
            [weight, bias]
        })
        .collect();
    let (mut weight, mut bias) = (vec![0.0; in_features * out_features], vec![0.0; out_features]);
    for [part_weight, part_bias] in parts {
        simd::add(&mut weight, &part_weight);
        simd::add(&mut bias, &part_bias);
    }
    (weight, bias)
}
