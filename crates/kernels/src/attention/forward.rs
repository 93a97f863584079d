//! Forward pass: some queries of one head at a time, all their scores in one block.

use pulp::{Arch, Simd, WithSimd};

use super::cpu::{AttentionShape, AttentionSlices};
use crate::{
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panels},
    simd,
    uninit::{Chunking, par_init_chunks},
};

/// Queries of a task, which transposes the keys once for all of them.
const TASK_QUERIES: usize = 512;
/// Rows of scores in memory at a time, a multiple of the rows of every register tile.
const QUERIES: usize = 16;
/// Score of a padding column; its softmax is zero.
const PADDING_SCORE: f32 = -1e30;

/// `softmax(query · keyᵀ / √width + bias + mask) · value`, `[heads, batch, queries, width]`.
pub(crate) fn forward(shape: AttentionShape, input: AttentionSlices) -> Vec<f32> {
    let (keys, values) = (Panels::new(shape.keys), Panels::new(shape.width));
    let head_len = shape.queries * shape.width;
    let chunking = Chunking {
        len: shape.heads * shape.batch * head_len,
        group: head_len,
        block: TASK_QUERIES * shape.width,
    };
    par_init_chunks(chunking, |scratch: &mut AttentionScratch, offset, output| {
        let index = offset / head_len;
        Arch::new().dispatch(QueryBlock {
            shape,
            input,
            keys,
            values,
            head: index / shape.batch,
            sample: index % shape.batch,
            first: offset % head_len / shape.width,
            scratch,
            output,
        });
    })
}

/// Buffers a thread reuses.
#[derive(Default)]
struct AttentionScratch {
    query: Vec<f32>,
    key_columns: Vec<f32>,
    value: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
}

/// Queries from `first` on, of one head of one sample.
struct QueryBlock<'a> {
    shape: AttentionShape,
    input: AttentionSlices<'a>,
    keys: Panels,
    values: Panels,
    head: usize,
    sample: usize,
    first: usize,
    scratch: &'a mut AttentionScratch,
    /// `[queries, width]`
    output: &'a mut [f32],
}

impl<'a> QueryBlock<'a> {
    /// Vectors of this head of the sample.
    fn rows(&self, tokens: &'a [f32], count: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (width, stride) = (self.shape.width, self.shape.heads * self.shape.width);
        let (start, head) = (self.sample * count * stride, self.head * width);
        tokens[start..start + count * stride]
            .chunks_exact(stride)
            .map(move |token| &token[head..head + width])
    }

    /// Transposes the keys, and pads the values to whole panels.
    #[inline(always)]
    fn gather(&mut self) {
        let (columns, stride) = (self.keys.padded_columns(), self.values.padded_columns());
        let mut scratch = std::mem::take(self.scratch);
        let AttentionScratch { key_columns, value, .. } = &mut scratch;
        key_columns.clear();
        key_columns.resize(self.shape.width * columns, 0.0);
        for (column, row) in self.rows(self.input.key, self.shape.keys).enumerate() {
            for (term, key) in row.iter().enumerate() {
                key_columns[term * columns + column] = *key;
            }
        }
        value.clear();
        value.resize(self.shape.keys * stride, 0.0);
        let rows = self.rows(self.input.value, self.shape.keys);
        for (padded, row) in value.chunks_exact_mut(stride).zip(rows) {
            padded[..row.len()].copy_from_slice(row);
        }
        *self.scratch = scratch;
    }

    /// Starts the scores of `count` queries with bias and mask.
    #[inline(always)]
    fn init_scores(&mut self, first: usize, count: usize) {
        let AttentionShape { queries, keys, mask: [groups, mask_rows, _], .. } = self.shape;
        let columns = self.keys.padded_columns();
        for (row, scores) in self.scratch.scores.chunks_exact_mut(columns).take(count).enumerate() {
            let query = first + row;
            let (scores, padding) = scores.split_at_mut(keys);
            padding.fill(PADDING_SCORE);
            match self.input.bias {
                Some(bias) => scores.copy_from_slice(&bias[(self.head * queries + query) * keys..][..keys]),
                None => scores.fill(0.0),
            }
            if let Some(mask) = self.input.mask {
                let row = if mask_rows == 1 { 0 } else { query };
                let mask = &mask[(self.sample % groups * mask_rows + row) * keys..][..keys];
                for (score, mask) in scores.iter_mut().zip(mask) {
                    *score += mask;
                }
            }
        }
    }
}

impl WithSimd for QueryBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let AttentionShape { queries, keys, width, .. } = self.shape;
        let (columns, stride) = (self.keys.padded_columns(), self.values.padded_columns());
        self.gather();
        self.scratch.scores.resize(QUERIES * columns, 0.0);
        self.scratch.sums.resize(QUERIES * stride, 0.0);
        self.scratch.query.resize(QUERIES * width, 0.0);
        let scale = 1.0 / (width as f32).sqrt();
        let last = (self.first + self.output.len() / width).min(queries);
        for first in (self.first..last).step_by(QUERIES) {
            let count = QUERIES.min(last - first);
            let rows = self.rows(self.input.query, queries).skip(first).take(count);
            for (scaled, row) in self.scratch.query.chunks_exact_mut(width).zip(rows) {
                for (scaled, query) in scaled.iter_mut().zip(row) {
                    *scaled = query * scale;
                }
            }
            self.init_scores(first, count);
            let AttentionScratch { query, key_columns, value, scores, sums } = &mut *self.scratch;
            let lhs = Lhs { values: query, row_stride: width, k_stride: 1 };
            let rhs = Rhs { values: key_columns, k_stride: columns };
            let dst = Dst { values: scores, row_stride: columns, rows: QUERIES, beta: Beta::One };
            multiply_panels(simd, self.keys, width, lhs, rhs, dst);
            for row in scores.chunks_exact_mut(columns).take(count) {
                simd::softmax_inline(row);
            }
            let lhs = Lhs { values: scores, row_stride: columns, k_stride: 1 };
            let rhs = Rhs { values: value, k_stride: stride };
            let dst = Dst { values: sums, row_stride: stride, rows: QUERIES, beta: Beta::Zero };
            multiply_panels(simd, self.values, keys, lhs, rhs, dst);
            let output = self.output[(first - self.first) * width..].chunks_exact_mut(width);
            for (output, sums) in output.zip(sums.chunks_exact(stride)).take(count) {
                output.copy_from_slice(&sums[..width]);
            }
        }
    }
}
