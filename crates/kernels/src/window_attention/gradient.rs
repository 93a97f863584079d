//! Gradients of the inputs of window attention.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{
    CallContext, QUERIES, WindowAttentionShape, WindowAttentionSlices, WindowScratch, transpose,
};
use crate::{
    microkernel::{Beta, Dst, Lhs, Rhs, multiply_panels},
    scatter::Scatter,
    simd,
    uninit::par_init_scatter,
};

/// Partial sums over the windows: a constant, for results that do not depend on the number of threads.
const PARTS: usize = 8;

/// The gradients, shaped as the inputs.
pub(super) struct WindowGradients {
    pub(super) qkv: Vec<f32>,
    pub(super) padding: Vec<f32>,
    pub(super) bias_table: Vec<f32>,
}

/// Partial sums over some windows, for one head.
struct PartSums {
    /// Bias gradient by pair of tokens, `[rows, columns]`; finally by relative position.
    bias: Vec<f32>,
    /// Gradients of query, key and value of the padding token.
    padding: [Vec<f32>; 3],
}

impl PartSums {
    fn new(call: &CallContext) -> Self {
        let padding = [(); 3].map(|()| vec![0.0; call.shape.width]);
        Self { bias: vec![0.0; call.rows * call.columns], padding }
    }
}

/// Gradients; probabilities are computed again instead of saved.
pub(super) fn backward(
    shape: &WindowAttentionShape,
    input: WindowAttentionSlices,
    gradient: &[f32],
) -> WindowGradients {
    let call = CallContext::new(shape, input);
    let windows = shape.batch * shape.partition.count();
    let part_windows = windows.div_ceil(PARTS);
    let parts = windows.div_ceil(part_windows);
    let arch = Arch::new();
    let task_sums = |qkv_grad: &Scatter, task: usize| {
        let (head, from) = (task / parts, task % parts * part_windows);
        let bias = call.bias(head);
        let mut scratch = WindowGradientScratch::default();
        let mut sums = PartSums::new(&call);
        for window in from..(from + part_windows).min(windows) {
            arch.dispatch(WindowGradient {
                call: &call,
                head,
                window,
                bias: &bias,
                output_grad: gradient,
                scratch: &mut scratch,
                sums: &mut sums,
                qkv_grad,
            });
        }
        PartSums { bias: call.sum_by_position(&sums.bias), ..sums }
    };
    let write = |qkv_grad: &Scatter| -> Vec<PartSums> {
        (0..shape.heads * parts).into_par_iter().map(|task| task_sums(qkv_grad, task)).collect()
    };
    // SAFETY: every voxel lies in one window, and the channels of the heads are disjoint and cover query, key and value.
    let (qkv, sums) = unsafe { par_init_scatter(input.qkv.len(), write) };
    let (mut padding, mut bias_table) = (vec![0.0; input.padding.len()], vec![0.0; input.bias_table.len()]);
    for (task, sums) in sums.iter().enumerate() {
        let head = task / parts;
        for (position, value) in sums.bias.iter().enumerate() {
            bias_table[position * shape.heads + head] += value;
        }
        for (part, sums) in sums.padding.iter().enumerate() {
            let at = part * call.channels() + head * shape.width;
            simd::add(&mut padding[at..at + shape.width], sums);
        }
    }
    WindowGradients { qkv, padding, bias_table }
}

impl CallContext<'_> {
    /// Sums a bias gradient `[rows, columns]` by relative position.
    fn sum_by_position(&self, gradient: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.input.bias_table.len() / self.shape.heads];
        let rows = gradient.chunks_exact(self.columns).zip(self.position_index.chunks_exact(self.tokens));
        for (row, positions) in rows {
            for (value, position) in row.iter().zip(positions) {
                sums[*position as usize] += value;
            }
        }
        sums
    }
}

/// One head of one window.
struct WindowGradient<'a> {
    call: &'a CallContext<'a>,
    head: usize,
    window: usize,
    bias: &'a [f32],
    output_grad: &'a [f32],
    scratch: &'a mut WindowGradientScratch,
    sums: &'a mut PartSums,
    qkv_grad: &'a Scatter<'a>,
}

/// Buffers a task reuses.
#[derive(Default)]
struct WindowGradientScratch {
    window: WindowScratch,
    value_columns: Vec<f32>,
    /// Output gradient of a block of queries.
    output_grad: Vec<f32>,
    /// Gradients of the scores of a block of queries.
    score_grads: Vec<f32>,
    /// Gradients of query, key and value.
    projection_grads: [Vec<f32>; 3],
}

impl WindowGradientScratch {
    #[inline(always)]
    fn gather_window(&mut self, call: &CallContext, head: usize, window: usize) {
        let stride = call.values.padded_columns();
        self.window.gather_window(call, head, window);
        transpose(&self.window.value, call, &mut self.value_columns);
        self.score_grads.resize(QUERIES * call.columns, 0.0);
        for vectors in &mut self.projection_grads {
            vectors.clear();
            vectors.resize(call.rows * stride, 0.0);
        }
    }

    /// Gathers the output gradient of the queries from `first` on; zero for padding.
    #[inline(always)]
    fn gather_output_grad(&mut self, call: &CallContext, head: usize, first: usize, gradient: &[f32]) {
        let (width, stride) = (call.shape.width, call.values.padded_columns());
        self.output_grad.clear();
        self.output_grad.resize(QUERIES * stride, 0.0);
        for (index, row) in
            self.window.token_indices[first..].iter().zip(self.output_grad.chunks_exact_mut(stride))
        {
            if let Some(index) = index {
                let at = index * call.channels() + head * width;
                row[..width].copy_from_slice(&gradient[at..at + width]);
            }
        }
    }
}

impl WithSimd for WindowGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { call, head, window, bias, output_grad, scratch, sums, qkv_grad } = self;
        let CallContext { columns, rows, values, tokens, .. } = *call;
        let stride = values.padded_columns();
        scratch.gather_window(call, head, window);
        for first in (0..tokens).step_by(QUERIES) {
            scratch.gather_output_grad(call, head, first, output_grad);
            scratch.window.probabilities(simd, call, bias, first);
            let WindowGradientScratch { window, value_columns, output_grad, score_grads, projection_grads } =
                &mut *scratch;
            let [query_grad, key_grad, value_grad] = projection_grads;
            // Values: probabilitiesᵀ · output gradient.
            let lhs = Lhs { values: &window.scores, row_stride: 1, k_stride: columns };
            let rhs = Rhs { values: output_grad, k_stride: stride };
            let dst = Dst { values: value_grad, row_stride: stride, rows, beta: Beta::One };
            multiply_panels(simd, values, QUERIES, lhs, rhs, dst);
            // Probabilities: output gradient · valuesᵀ; then through the softmax.
            let lhs = Lhs { values: output_grad, row_stride: stride, k_stride: 1 };
            let rhs = Rhs { values: value_columns, k_stride: columns };
            let dst = Dst { values: score_grads, row_stride: columns, rows: QUERIES, beta: Beta::Zero };
            multiply_panels(simd, call.keys, call.shape.width, lhs, rhs, dst);
            let bias_sums = sums.bias[first * columns..].chunks_exact_mut(columns);
            let score_rows = score_grads.chunks_exact_mut(columns).zip(window.scores.chunks_exact(columns));
            for ((score_grads, row), bias_sums) in score_rows.zip(bias_sums) {
                simd::softmax_gradient_inline(&row[..tokens], &mut score_grads[..tokens]);
                for (sum, grad) in bias_sums[..tokens].iter_mut().zip(&*score_grads) {
                    *sum += grad;
                }
            }
            // Queries: score gradients · keys; keys: score gradientsᵀ · queries.
            let lhs = Lhs { values: score_grads, row_stride: columns, k_stride: 1 };
            let rhs = Rhs { values: &window.key, k_stride: stride };
            let block = &mut query_grad[first * stride..];
            let dst = Dst { values: block, row_stride: stride, rows: QUERIES, beta: Beta::Zero };
            multiply_panels(simd, values, tokens, lhs, rhs, dst);
            let lhs = Lhs { values: score_grads, row_stride: 1, k_stride: columns };
            let rhs = Rhs { values: &window.query[first * stride..], k_stride: stride };
            let dst = Dst { values: key_grad, row_stride: stride, rows, beta: Beta::One };
            multiply_panels(simd, values, QUERIES, lhs, rhs, dst);
        }
        scratch.scatter_window(call, head, sums, qkv_grad);
    }
}

impl WindowGradientScratch {
    /// Writes the gradients of the tokens of a window; those of padding tokens are summed.
    #[inline(always)]
    fn scatter_window(&mut self, call: &CallContext, head: usize, sums: &mut PartSums, qkv_grad: &Scatter) {
        let (width, channels, stride) = (call.shape.width, call.channels(), call.values.padded_columns());
        for query in &mut self.projection_grads[0] {
            *query *= call.scale();
        }
        for (part, rows) in self.projection_grads.iter().enumerate() {
            for (index, row) in self.window.token_indices.iter().zip(rows.chunks_exact(stride)) {
                let Some(index) = index else {
                    sums.padding[part].iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                    continue;
                };
                // SAFETY: a token lies in one window, and the channels of the heads are disjoint.
                unsafe { qkv_grad.write((index * 3 + part) * channels + head * width, &row[..width]) };
            }
        }
    }
}
