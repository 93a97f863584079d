//! Forward pass: one head of one window at a time, some rows of scores at a time.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::cpu::{CallContext, QUERIES, WindowAttentionShape, WindowAttentionSlices, WindowScratch};
use crate::{
    microkernel::{Beta, Dst, Lhs, Rhs, multiply_panels},
    scatter::Scatter,
    uninit::par_init_scatter,
};

/// `[batch, x, y, z, heads · width]`
pub(super) fn forward(shape: &WindowAttentionShape, input: WindowAttentionSlices) -> Vec<f32> {
    let call = CallContext::new(shape, input);
    let windows = shape.batch * shape.partition.count();
    let voxels = shape.partition.size.iter().product::<usize>();
    let biases: Vec<Vec<f32>> = (0..shape.heads).into_par_iter().map(|head| call.bias(head)).collect();
    let arch = Arch::new();
    let write = |output: &Scatter| {
        (0..shape.heads * windows).into_par_iter().for_each_init(WindowScratch::default, |scratch, index| {
            let (head, window) = (index / windows, index % windows);
            arch.dispatch(WindowForward { call: &call, head, window, bias: &biases[head], scratch, output });
        });
    };
    // SAFETY: every voxel lies in one window, and the channels of the heads are disjoint and cover all channels.
    unsafe { par_init_scatter(shape.batch * voxels * call.channels(), write).0 }
}

/// One head of one window.
struct WindowForward<'a> {
    call: &'a CallContext<'a>,
    head: usize,
    window: usize,
    bias: &'a [f32],
    scratch: &'a mut WindowScratch,
    output: &'a Scatter<'a>,
}

impl WithSimd for WindowForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { call, head, window, bias, scratch, output } = self;
        let CallContext { shape: WindowAttentionShape { width, .. }, columns, values, .. } = *call;
        let stride = values.padded_columns();
        scratch.gather_window(call, head, window);
        scratch.output.resize(QUERIES * stride, 0.0);
        for first in (0..call.tokens).step_by(QUERIES) {
            scratch.probabilities(simd, call, bias, first);
            let lhs = Lhs { values: &scratch.scores, row_stride: columns, k_stride: 1 };
            let rhs = Rhs { values: &scratch.value, k_stride: stride };
            let dst =
                Dst { values: &mut scratch.output, row_stride: stride, rows: QUERIES, beta: Beta::Zero };
            multiply_panels(simd, values, call.tokens, lhs, rhs, dst);
            for (index, row) in scratch.token_indices[first..].iter().zip(scratch.output.chunks_exact(stride))
            {
                if let Some(index) = index {
                    // SAFETY: a token lies in one window, and the channels of the heads are disjoint.
                    unsafe { output.write(index * call.channels() + head * width, &row[..width]) };
                }
            }
        }
    }
}
