//! The forward pass: some queries of one head at a time, all their scores in one block.

use pulp::{Arch, Simd, WithSimd};

use super::cpu::{Shape, Slices};
use crate::{
    fresh::{Cut, by_blocks},
    product::{Into, Left, Panels, Right, Sums, multiply_panels},
    vector,
};

/// Queries one task answers; it turns the keys into columns once for all of them.
const TASK: usize = 512;
/// Rows of scores that are alive together; every register tile divides them.
const QUERIES: usize = 16;
/// Score of a column that is no key: nothing is left of it after the softmax.
const NO_KEY: f32 = -1e30;

/// `softmax(query · keyᵀ / √width + bias + mask) · value`, `[heads, batch, queries, width]`.
pub(crate) fn forward(shape: Shape, input: Slices) -> Vec<f32> {
    let (keys, values) = (Panels::of(shape.keys), Panels::of(shape.width));
    let each = shape.queries * shape.width;
    let cut = Cut { values: shape.heads * shape.batch * each, group: each, block: TASK * shape.width };
    by_blocks(cut, |room: &mut Room, at, output| {
        let index = at / each;
        Arch::new().dispatch(Task {
            shape,
            input,
            keys,
            values,
            head: index / shape.batch,
            sample: index % shape.batch,
            first: at % each / shape.width,
            room,
            output,
        });
    })
}

/// What one thread uses again from task to task.
#[derive(Default)]
struct Room {
    query: Vec<f32>,
    key_columns: Vec<f32>,
    value: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
}

/// The queries from `first` on, of one head of one sample.
struct Task<'a> {
    shape: Shape,
    input: Slices<'a>,
    keys: Panels,
    values: Panels,
    head: usize,
    sample: usize,
    first: usize,
    room: &'a mut Room,
    /// `[queries, width]`
    output: &'a mut [f32],
}

impl<'a> Task<'a> {
    /// The rows of this head and sample.
    fn rows(&self, tokens: &'a [f32], count: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (width, stride) = (self.shape.width, self.shape.heads * self.shape.width);
        let (sample, at) = (self.sample * count * stride, self.head * width);
        tokens[sample..sample + count * stride].chunks_exact(stride).map(move |token| &token[at..at + width])
    }

    /// Keys as columns, and values as rows of whole vectors.
    #[inline(always)]
    fn gather(&mut self) {
        let (columns, stride) = (self.keys.columns(), self.values.columns());
        let mut room = std::mem::take(self.room);
        let Room { key_columns, value, .. } = &mut room;
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
        for (into, row) in value.chunks_exact_mut(stride).zip(rows) {
            into[..row.len()].copy_from_slice(row);
        }
        *self.room = room;
    }

    /// The scores of `count` queries before the product: bias and mask.
    #[inline(always)]
    fn prepare(&mut self, first: usize, count: usize) {
        let Shape { queries, keys, mask: [groups, mask_rows, _], .. } = self.shape;
        let columns = self.keys.columns();
        for (row, scores) in self.room.scores.chunks_exact_mut(columns).take(count).enumerate() {
            let query = first + row;
            let (scores, beyond) = scores.split_at_mut(keys);
            beyond.fill(NO_KEY);
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

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Shape { queries, keys, width, .. } = self.shape;
        let (columns, stride) = (self.keys.columns(), self.values.columns());
        self.gather();
        self.room.scores.resize(QUERIES * columns, 0.0);
        self.room.sums.resize(QUERIES * stride, 0.0);
        self.room.query.resize(QUERIES * width, 0.0);
        let scale = 1.0 / (width as f32).sqrt();
        let last = (self.first + self.output.len() / width).min(queries);
        for first in (self.first..last).step_by(QUERIES) {
            let count = QUERIES.min(last - first);
            let rows = self.rows(self.input.query, queries).skip(first).take(count);
            for (into, row) in self.room.query.chunks_exact_mut(width).zip(rows) {
                for (into, query) in into.iter_mut().zip(row) {
                    *into = query * scale;
                }
            }
            self.prepare(first, count);
            let Room { query, key_columns, value, scores, sums } = &mut *self.room;
            let left = Left { values: query, row: width, term: 1 };
            let right = Right { values: key_columns, term: columns };
            let into = Into { values: scores, row: columns, rows: QUERIES, sums: Sums::Continued };
            multiply_panels(simd, self.keys, width, left, right, into);
            for row in scores.chunks_exact_mut(columns).take(count) {
                vector::softmax_of(row);
            }
            let left = Left { values: scores, row: columns, term: 1 };
            let right = Right { values: value, term: stride };
            let into = Into { values: sums, row: stride, rows: QUERIES, sums: Sums::Fresh };
            multiply_panels(simd, self.values, keys, left, right, into);
            let output = self.output[(first - self.first) * width..].chunks_exact_mut(width);
            for (output, sums) in output.zip(sums.chunks_exact(stride)).take(count) {
                output.copy_from_slice(&sums[..width]);
            }
        }
    }
}
