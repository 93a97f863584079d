//! Gradients of attention on slices. Results are `[heads, batch, tokens, width]`: every task owns a contiguous range.

use rayon::prelude::*;

use crate::{
    matrix::{Matrix, Output, multiply},
    simd,
};

/// Scores of a tile: half of a usual L2 cache.
const TILE_SCORES: usize = 1 << 17;
/// Partial sums of the bias gradient over the batch: a constant, for results that do not depend on the number of
/// threads.
const PARTS: usize = 8;

/// Sizes of one call; `mask` is `[groups, rows, keys]`, zeros without a mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) width: usize,
    pub(crate) mask: [usize; 3],
}

/// The inputs, `[batch, tokens, heads, width]`.
#[derive(Clone, Copy)]
pub(crate) struct AttentionSlices<'a> {
    pub(crate) query: &'a [f32],
    pub(crate) key: &'a [f32],
    pub(crate) value: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) mask: Option<&'a [f32]>,
}

/// Gradients of the inputs, `[heads, batch, tokens, width]`, and of the bias, `[heads, queries, keys]`.
pub(crate) struct AttentionGradients {
    pub(crate) query: Vec<f32>,
    pub(crate) key: Vec<f32>,
    pub(crate) value: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Scores of some queries of one head of one sample.
#[derive(Clone, Copy)]
struct Tile {
    sample: usize,
    head: usize,
    first: usize,
    rows: usize,
}

impl AttentionShape {
    /// Shape of the bias.
    pub(crate) fn bias(&self) -> [usize; 3] {
        [self.heads, self.queries, self.keys]
    }

    fn tile_rows(&self) -> usize {
        (TILE_SCORES / self.keys).clamp(8, self.queries.max(8))
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

    /// Token vectors of one head of one sample.
    fn head_rows<'a>(
        &self,
        data: &'a [f32],
        tokens: usize,
        tile: Tile,
        first: usize,
        rows: usize,
    ) -> Matrix<'a> {
        let stride = self.heads * self.width;
        let start = (tile.sample * tokens + first) * stride + tile.head * self.width;
        Matrix::from_rows(&data[start..], rows, self.width, stride)
    }

    fn query_rows<'a>(&self, data: &'a [f32], tile: Tile) -> Matrix<'a> {
        self.head_rows(data, self.queries, tile, tile.first, tile.rows)
    }

    fn key_rows<'a>(&self, data: &'a [f32], tile: Tile) -> Matrix<'a> {
        self.head_rows(data, self.keys, tile, 0, self.keys)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// Attention probabilities of a tile, `[rows, keys]`.
    fn probabilities(&self, input: AttentionSlices, tile: Tile, scores: &mut Vec<f32>) {
        scores.clear();
        match input.bias {
            Some(bias) => {
                let start = (tile.head * self.queries + tile.first) * self.keys;
                scores.extend_from_slice(&bias[start..start + tile.rows * self.keys]);
            }
            None => scores.resize(tile.rows * self.keys, 0.0),
        }
        if let Some(mask) = input.mask {
            let [groups, mask_rows, _] = self.mask;
            let group = &mask[tile.sample % groups * mask_rows * self.keys..][..mask_rows * self.keys];
            for (row, scores) in scores.chunks_exact_mut(self.keys).enumerate() {
                let row = if mask_rows == 1 { 0 } else { tile.first + row };
                simd::add(scores, &group[row * self.keys..(row + 1) * self.keys]);
            }
        }
        let (query, key) = (self.query_rows(input.query, tile), self.key_rows(input.key, tile));
        multiply(scores, self.keys, Output::Accumulate, self.scale(), query, key.transpose());
        for row in scores.chunks_exact_mut(self.keys) {
            simd::softmax(row);
        }
    }
}

/// Gradients of one sample and head.
struct HeadGradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    bias: &'a mut [f32],
}

/// Gradients of the inputs; probabilities are computed again instead of saved.
pub(crate) fn backward(
    shape: AttentionShape,
    input: AttentionSlices,
    gradient: &[f32],
) -> AttentionGradients {
    let (query_len, key_len) = (shape.queries * shape.width, shape.keys * shape.width);
    let zeros = |head_len: usize| vec![0.0; shape.heads * shape.batch * head_len];
    let (mut query, mut key, mut value) = (zeros(query_len), zeros(key_len), zeros(key_len));
    let bias_size = if input.bias.is_some() { shape.queries * shape.keys } else { 0 };
    let part_samples = shape.batch.div_ceil(PARTS);
    let parts: Vec<Vec<f32>> = query
        .par_chunks_mut(query_len * shape.batch)
        .zip(key.par_chunks_mut(key_len * shape.batch).zip(value.par_chunks_mut(key_len * shape.batch)))
        .enumerate()
        .flat_map(|(head, (query, (key, value)))| {
            query
                .par_chunks_mut(query_len * part_samples)
                .zip(
                    key.par_chunks_mut(key_len * part_samples)
                        .zip(value.par_chunks_mut(key_len * part_samples)),
                )
                .enumerate()
                .map(move |(index, (query, (key, value)))| {
                    let mut bias = vec![0.0; bias_size];
                    let samples = query.chunks_mut(query_len).zip(key.chunks_mut(key_len));
                    for (sample, ((query, key), value)) in samples.zip(value.chunks_mut(key_len)).enumerate()
                    {
                        let gradients = HeadGradients { query, key, value, bias: &mut bias };
                        backward_sample(
                            shape,
                            input,
                            gradient,
                            [index * part_samples + sample, head],
                            gradients,
                        );
                    }
                    bias
                })
        })
        .collect();
    let bias = input.bias.map(|_| sum_parts(shape, bias_size, &parts));
    AttentionGradients { query, key, value, bias }
}

fn sum_parts(shape: AttentionShape, bias_size: usize, parts: &[Vec<f32>]) -> Vec<f32> {
    let per_head = parts.len() / shape.heads;
    let mut bias = vec![0.0; shape.heads * bias_size];
    for (sum, parts) in bias.chunks_mut(bias_size).zip(parts.chunks(per_head)) {
        for part in parts {
            simd::add(sum, part);
        }
    }
    bias
}

fn backward_sample(
    shape: AttentionShape,
    input: AttentionSlices,
    gradient: &[f32],
    [sample, head]: [usize; 2],
    out: HeadGradients,
) {
    let (mut scores, mut score_grads) = (Vec::new(), Vec::new());
    for tile in shape.tiles(sample, head) {
        shape.probabilities(input, tile, &mut scores);
        let gradient = shape.query_rows(gradient, tile);
        let probabilities = Matrix::from_rows(&scores, tile.rows, shape.keys, shape.keys);
        multiply(out.value, shape.width, Output::Accumulate, 1.0, probabilities.transpose(), gradient);
        score_grads.clear();
        score_grads.resize(tile.rows * shape.keys, 0.0);
        let value = shape.key_rows(input.value, tile);
        multiply(&mut score_grads, shape.keys, Output::Overwrite, 1.0, gradient, value.transpose());
        for (score_grad, row) in score_grads.chunks_exact_mut(shape.keys).zip(scores.chunks_exact(shape.keys))
        {
            simd::softmax_gradient(row, score_grad);
        }
        if !out.bias.is_empty() {
            simd::add(&mut out.bias[tile.first * shape.keys..][..score_grads.len()], &score_grads);
        }
        let score_grads = Matrix::from_rows(&score_grads, tile.rows, shape.keys, shape.keys);
        let (query, key) = (shape.query_rows(input.query, tile), shape.key_rows(input.key, tile));
        let query_grad = &mut out.query[tile.first * shape.width..];
        multiply(query_grad, shape.width, Output::Overwrite, shape.scale(), score_grads, key);
        multiply(out.key, shape.width, Output::Accumulate, shape.scale(), score_grads.transpose(), query);
    }
}
