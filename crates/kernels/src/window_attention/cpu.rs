//! Shared by forward and backward: the tokens of one window, and the probabilities of some queries.

use pulp::Simd;

use super::partition::{SHIFT_MASK_VALUE, WindowPartition};
use crate::{
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panels},
    simd,
};

/// Rows of scores in memory at a time: they fit the L1 cache, and are a multiple of the rows of every register tile.
pub(super) const QUERIES: usize = 16;
/// Key columns are padded to a multiple of this, which is one of every panel width.
const KEY_MULTIPLE: usize = 96;
/// Score of a padding column; its softmax is zero.
const PADDING_SCORE: f32 = -1e30;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowAttentionShape {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) partition: WindowPartition,
}

/// The inputs: tokens `[batch, x, y, z, 3, heads, width]`, one padding token, and the bias table.
#[derive(Clone, Copy)]
pub(super) struct WindowAttentionSlices<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) padding: &'a [f32],
    pub(super) bias_table: &'a [f32],
}

/// Shared by all tasks of one call.
pub(super) struct CallContext<'a> {
    pub(super) shape: WindowAttentionShape,
    pub(super) input: WindowAttentionSlices<'a>,
    pub(super) tokens: usize,
    /// Tokens rounded up to whole blocks of queries.
    pub(super) rows: usize,
    /// Tokens rounded up to whole panels of keys.
    pub(super) columns: usize,
    pub(super) keys: Panels,
    pub(super) values: Panels,
    pub(super) position_index: Vec<u32>,
}

impl<'a> CallContext<'a> {
    pub(super) fn new(shape: &WindowAttentionShape, input: WindowAttentionSlices<'a>) -> Self {
        let tokens = shape.partition.tokens();
        Self {
            shape: *shape,
            input,
            tokens,
            rows: tokens.next_multiple_of(QUERIES),
            columns: tokens.next_multiple_of(KEY_MULTIPLE),
            keys: Panels::new(tokens),
            values: Panels::new(shape.width),
            position_index: shape.partition.relative_position_index(),
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.shape.heads * self.shape.width
    }

    /// Bias of one head, `[rows, columns]`; padding columns get [`PADDING_SCORE`].
    pub(super) fn bias(&self, head: usize) -> Vec<f32> {
        let mut bias = vec![PADDING_SCORE; self.rows * self.columns];
        let rows = bias.chunks_exact_mut(self.columns).zip(self.position_index.chunks_exact(self.tokens));
        for (row, positions) in rows {
            for (bias, position) in row.iter_mut().zip(positions) {
                *bias = self.input.bias_table[*position as usize * self.shape.heads + head];
            }
        }
        bias
    }
}

/// Buffers a thread reuses.
#[derive(Default)]
pub(super) struct WindowScratch {
    pub(super) token_indices: Vec<Option<usize>>,
    /// Region of each token, and one row of shift mask per region where there are several.
    regions: Vec<u8>,
    shift_mask: Vec<f32>,
    /// One vector per token, and the keys transposed.
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    key_columns: Vec<f32>,
    /// Scores, then probabilities, of a block of queries.
    pub(super) scores: Vec<f32>,
    pub(super) output: Vec<f32>,
}

/// One of the three vectors of a token.
#[derive(Clone, Copy)]
pub(super) enum Projection {
    Query,
    Key,
    Value,
}

impl CallContext<'_> {
    /// Gathers one vector of each token of a window, times `scale`.
    #[inline(always)]
    fn gather(
        &self,
        token_indices: &[Option<usize>],
        head: usize,
        projection: Projection,
        scale: f32,
        out: &mut Vec<f32>,
    ) {
        let (width, channels, stride) = (self.shape.width, self.channels(), self.values.padded_columns());
        let first = projection as usize * channels + head * width;
        out.clear();
        out.resize(self.rows * stride, 0.0);
        for (index, out) in token_indices.iter().zip(out.chunks_exact_mut(stride)) {
            let token = match index {
                Some(index) => &self.input.qkv[index * 3 * channels..],
                None => self.input.padding,
            };
            for (out, value) in out.iter_mut().zip(&token[first..first + width]) {
                *out = value * scale;
            }
        }
    }

    pub(super) fn scale(&self) -> f32 {
        1.0 / (self.shape.width as f32).sqrt()
    }
}

impl WindowScratch {
    /// Gathers the vectors of one head of the tokens of a window.
    #[inline(always)]
    pub(super) fn gather_window(&mut self, call: &CallContext, head: usize, window: usize) {
        let partition = call.shape.partition;
        let (sample, window) = (window / partition.count(), window % partition.count());
        let voxels = partition.size.iter().product::<usize>();
        self.token_indices.clear();
        self.token_indices
            .extend(partition.token_indices(window).map(|index| Some(sample * voxels + index?)));
        self.regions.clear();
        self.regions.extend(partition.regions(window));
        self.shift_mask.clear();
        if self.regions.iter().any(|region| *region != 0) {
            for region in 0..8 {
                let row =
                    self.regions.iter().map(|other| if *other == region { 0.0 } else { SHIFT_MASK_VALUE });
                self.shift_mask.extend(row);
            }
        }
        call.gather(&self.token_indices, head, Projection::Query, call.scale(), &mut self.query);
        call.gather(&self.token_indices, head, Projection::Key, 1.0, &mut self.key);
        call.gather(&self.token_indices, head, Projection::Value, 1.0, &mut self.value);
        transpose(&self.key, call, &mut self.key_columns);
    }

    /// Attention probabilities of the queries from `first` on, `[QUERIES, columns]`.
    #[inline(always)]
    pub(super) fn probabilities<S: Simd>(&mut self, simd: S, call: &CallContext, bias: &[f32], first: usize) {
        let (stride, columns) = (call.values.padded_columns(), call.columns);
        self.scores.clear();
        self.scores.extend_from_slice(&bias[first * columns..(first + QUERIES) * columns]);
        if !self.shift_mask.is_empty() {
            let regions = self.regions[first..].iter();
            for (scores, region) in self.scores.chunks_exact_mut(columns).zip(regions) {
                let mask = &self.shift_mask[*region as usize * call.tokens..][..call.tokens];
                for (score, mask) in scores.iter_mut().zip(mask) {
                    *score += mask;
                }
            }
        }
        let lhs = Lhs { values: &self.query[first * stride..], row_stride: stride, k_stride: 1 };
        let rhs = Rhs { values: &self.key_columns, k_stride: columns };
        let dst = Dst { values: &mut self.scores, row_stride: columns, rows: QUERIES, beta: Beta::One };
        multiply_panels(simd, call.keys, call.shape.width, lhs, rhs, dst);
        for row in self.scores.chunks_exact_mut(columns) {
            simd::softmax_inline(&mut row[..call.keys.padded_columns()]);
        }
    }
}

/// Transposes token vectors to `[width, columns]`.
#[inline(always)]
pub(super) fn transpose(rows: &[f32], call: &CallContext, out: &mut Vec<f32>) {
    let CallContext { shape: WindowAttentionShape { width, .. }, columns, tokens, .. } = *call;
    out.clear();
    out.resize(width * columns, 0.0);
    for (column, row) in rows.chunks_exact(call.values.padded_columns()).take(tokens).enumerate() {
        for (k, value) in row[..width].iter().enumerate() {
            out[k * columns + column] = *value;
        }
    }
}
