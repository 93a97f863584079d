//! The gradients of attention, on slices. Results are laid out `[heads, batch, tokens, width]`, so that
//! every task owns a contiguous piece.

use rayon::prelude::*;

use crate::{
    matrix::{Into, Matrix, multiply},
    vector,
};

/// Scores one tile holds: half of a usual L2 cache.
const TILE: usize = 1 << 17;
/// Parts of the batch whose bias gradients are summed apart: fixed, so that the sum does not depend on
/// threads.
const PARTS: usize = 8;

/// Sizes of one call; `mask` is `[groups, rows, keys]`, or ones when there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) width: usize,
    pub(crate) mask: [usize; 3],
}

/// The inputs, laid out `[batch, tokens, heads, width]`.
#[derive(Clone, Copy)]
pub(crate) struct Slices<'a> {
    pub(crate) query: &'a [f32],
    pub(crate) key: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) mask: Option<&'a [f32]>,
}

/// Gradients of the inputs, `[heads, batch, tokens, width]`, and of the bias when there is one.
pub(crate) struct AttentionGradients {
    pub(crate) query: Vec<f32>,
    pub(crate) key: Vec<f32>,
    pub(crate) value: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Which sample, head and queries a tile of scores belongs to.
#[derive(Clone, Copy)]
struct Tile {
    sample: usize,
    head: usize,
    first: usize,
    rows: usize,
}

impl Shape {
    /// Shape of a bias that is there.
    pub(crate) fn bias(&self) -> [usize; 3] {
        [self.heads, self.queries, self.keys]
    }

    fn tile_rows(&self) -> usize {
        (TILE / self.keys).clamp(8, self.queries.max(8))
    }

    fn tiles(self, sample: usize, head: usize) -> impl Iterator<Item = Tile> {
        let step = self.tile_rows();
        (0..self.queries).step_by(step).map(move |first| Tile {
            sample,
            head,
            first,
            rows: step.min(self.queries - first),
        })
    }

    /// Rows of one head of one sample.
    fn rows<'a>(&self, data: &'a [f32], tokens: usize, tile: Tile, first: usize, rows: usize) -> Matrix<'a> {
        let stride = self.heads * self.width;
        let at = (tile.sample * tokens + first) * stride + tile.head * self.width;
        Matrix::rows(&data[at..], rows, self.width, stride)
    }

    fn query_rows<'a>(&self, data: &'a [f32], tile: Tile) -> Matrix<'a> {
        self.rows(data, self.queries, tile, tile.first, tile.rows)
    }

    fn key_rows<'a>(&self, data: &'a [f32], tile: Tile) -> Matrix<'a> {
        self.rows(data, self.keys, tile, 0, self.keys)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Softmax of the scores of a tile, `[rows, keys]`.
    fn probabilities(&self, input: Slices, tile: Tile, scores: &mut Vec<f32>) {
        scores.clear();
        match input.bias {
            Some(bias) => {
                let at = (tile.head * self.queries + tile.first) * self.keys;
                scores.extend_from_slice(&bias[at..at + tile.rows * self.keys]);
            }
            None => scores.resize(tile.rows * self.keys, 0.0),
        }
        if let Some(mask) = input.mask {
            let [groups, mask_rows, _] = self.mask;
            let group = &mask[tile.sample % groups * mask_rows * self.keys..][..mask_rows * self.keys];
            for (row, scores) in scores.chunks_exact_mut(self.keys).enumerate() {
                let row = if mask_rows == 1 { 0 } else { tile.first + row };
                vector::add(scores, &group[row * self.keys..(row + 1) * self.keys]);
            }
        }
        let (query, key) = (self.query_rows(input.query, tile), self.key_rows(input.key, tile));
        multiply(scores, self.keys, Into::Add, self.scale(), query, key.transposed());
        for row in scores.chunks_exact_mut(self.keys) {
            vector::softmax(row);
        }
    }
}

/// Pieces of the gradients of one sample and head.
struct Pieces<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    bias: &'a mut [f32],
}

/// The gradients; probabilities are computed again instead of kept.
pub(crate) fn backward(shape: Shape, input: Slices, gradient: &[f32]) -> AttentionGradients {
    let (of_query, of_key) = (shape.queries * shape.width, shape.keys * shape.width);
    let zeros = |task: usize| vec![0.0; shape.heads * shape.batch * task];
    let (mut query, mut key, mut value) = (zeros(of_query), zeros(of_key), zeros(of_key));
    let bias_size = if input.bias.is_some() { shape.queries * shape.keys } else { 0 };
    let part = shape.batch.div_ceil(PARTS);
    let parts: Vec<Vec<f32>> = query
        .par_chunks_mut(of_query * shape.batch)
        .zip(key.par_chunks_mut(of_key * shape.batch).zip(value.par_chunks_mut(of_key * shape.batch)))
        .enumerate()
        .flat_map(|(head, (query, (key, value)))| {
            query
                .par_chunks_mut(of_query * part)
                .zip(key.par_chunks_mut(of_key * part).zip(value.par_chunks_mut(of_key * part)))
                .enumerate()
                .map(move |(index, (query, (key, value)))| {
                    let mut bias = vec![0.0; bias_size];
                    let samples = query.chunks_mut(of_query).zip(key.chunks_mut(of_key));
                    for (sample, ((query, key), value)) in samples.zip(value.chunks_mut(of_key)).enumerate() {
                        let pieces = Pieces { query, key, value, bias: &mut bias };
                        backward_sample(shape, input, gradient, [index * part + sample, head], pieces);
                    }
                    bias
                })
        })
        .collect();
    let bias = input.bias.map(|_| sum_parts(shape, bias_size, &parts));
    AttentionGradients { query, key, value, bias }
}

fn sum_parts(shape: Shape, bias_size: usize, parts: &[Vec<f32>]) -> Vec<f32> {
    let per_head = parts.len() / shape.heads;
    let mut bias = vec![0.0; shape.heads * bias_size];
    for (sum, parts) in bias.chunks_mut(bias_size).zip(parts.chunks(per_head)) {
        for part in parts {
            vector::add(sum, part);
        }
    }
    bias
}

fn backward_sample(shape: Shape, input: Slices, gradient: &[f32], which: [usize; 2], into: Pieces) {
    let [sample, head] = which;
    let (mut scores, mut slopes) = (Vec::new(), Vec::new());
    for tile in shape.tiles(sample, head) {
        shape.probabilities(input, tile, &mut scores);
        let gradient = shape.query_rows(gradient, tile);
        let probabilities = Matrix::rows(&scores, tile.rows, shape.keys, shape.keys);
        multiply(into.value, shape.width, Into::Add, 1.0, probabilities.transposed(), gradient);
        slopes.clear();
        slopes.resize(tile.rows * shape.keys, 0.0);
        let value = shape.key_rows(input.value, tile);
        multiply(&mut slopes, shape.keys, Into::Replace, 1.0, gradient, value.transposed());
        for (slope, row) in slopes.chunks_exact_mut(shape.keys).zip(scores.chunks_exact(shape.keys)) {
            vector::softmax_gradient(row, slope);
        }
        if !into.bias.is_empty() {
            vector::add(&mut into.bias[tile.first * shape.keys..][..slopes.len()], &slopes);
        }
        let slopes = Matrix::rows(&slopes, tile.rows, shape.keys, shape.keys);
        let (query, key) = (shape.query_rows(input.query, tile), shape.key_rows(input.key, tile));
        let of_query = &mut into.query[tile.first * shape.width..];
        multiply(of_query, shape.width, Into::Replace, shape.scale(), slopes, key);
        multiply(into.key, shape.width, Into::Add, shape.scale(), slopes.transposed(), query);
    }
}
