//! Normalization on slices.

use rayon::prelude::*;

use crate::{
    simd::{self, ChannelStats},
    uninit::{Chunking, par_init_chunks},
};

/// Rows of a task and of a partial sum: a constant, for results that do not depend on the number of threads.
pub(crate) const ROWS: usize = 512;
/// Partial sums of the gradients of gamma and beta: a constant for the same reason.
const PARTS: usize = 8;
/// The negative slope that makes a leaky ReLU the identity.
pub(super) const IDENTITY_SLOPE: f32 = 1.0;

/// Mean and reciprocal standard deviation of each channel of one sample.
struct SampleStatistics {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl SampleStatistics {
    fn with_slope(&self, negative_slope: f32) -> ChannelStats<'_> {
        ChannelStats { mean: &self.mean, scale: &self.scale, negative_slope }
    }
}

/// Sums two quantities per channel over all rows, in blocks of constant size and in their order.
fn sum_blocks<B: IndexedParallelIterator>(
    blocks: B,
    channels: usize,
    f: impl Fn(B::Item, &mut [f32], &mut [f32]) + Sync + Send,
) -> [Vec<f64>; 2] {
    let partial: Vec<[Vec<f32>; 2]> = blocks
        .map(|block| {
            let mut sums = [vec![0.0; channels], vec![0.0; channels]];
            let [first, second] = &mut sums;
            f(block, first, second);
            sums
        })
        .collect();
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    for partial in partial {
        for (sums, partial) in sums.iter_mut().zip(partial) {
            for (sum, value) in sums.iter_mut().zip(partial) {
                *sum += f64::from(value);
            }
        }
    }
    sums
}

/// Moments are taken about the first row: a large common offset costs no precision.
fn statistics(sample: &[f32], channels: usize, epsilon: f32) -> SampleStatistics {
    let center = &sample[..channels];
    let blocks = sample.par_chunks(ROWS * channels);
    let [sums, squares] = sum_blocks(blocks, channels, |rows, sums, squares| {
        simd::accumulate_moments(rows, center, sums, squares);
    });
    let count = (sample.len() / channels) as f64;
    let moments = sums.iter().zip(&squares).map(|(sum, square)| {
        let mean = sum / count;
        (mean, (square / count - mean * mean).max(0.0))
    });
    let (mean, scale) = moments
        .zip(center)
        .map(|((mean, variance), &center)| {
            let scale = 1.0 / (variance + f64::from(epsilon)).sqrt();
            ((mean + f64::from(center)) as f32, scale as f32)
        })
        .unzip();
    SampleStatistics { mean, scale }
}

/// `leaky_relu((x − mean) / √(variance + ε))` per sample and channel, with an optional residual before the activation.
pub(crate) struct InstanceNorm {
    samples: Vec<SampleStatistics>,
    /// Values per sample.
    size: usize,
    negative_slope: f32,
}

impl InstanceNorm {
    /// Computes the statistics of an input; `shape` is `[batch, channels]`.
    pub(crate) fn new(input: &[f32], shape: [usize; 2], epsilon: f32, negative_slope: f32) -> Self {
        let [batch, channels] = shape;
        let size = input.len() / batch;
        let samples = input.chunks(size).map(|sample| statistics(sample, channels, epsilon)).collect();
        Self { samples, size, negative_slope }
    }

    /// Normalizes whole rows of the input from offset `at` on; `residual` is a whole map like the input.
    pub(crate) fn apply(&self, mut at: usize, mut rows: &mut [f32], residual: Option<&[f32]>) {
        while !rows.is_empty() {
            let (sample_rows, rest) = rows.split_at_mut(rows.len().min(self.size - at % self.size));
            let SampleStatistics { mean, scale } = &self.samples[at / self.size];
            match residual {
                Some(map) => simd::normalize_add(sample_rows, &map[at..], mean, scale, self.negative_slope),
                None => simd::normalize(sample_rows, mean, scale, self.negative_slope),
            }
            at += sample_rows.len();
            rows = rest;
        }
    }
}

/// Gradient of [`InstanceNorm`], in two passes: sums over the voxels, then every voxel.
pub(crate) struct InstanceNormGradient {
    samples: Vec<SampleGradient>,
    negative_slope: f32,
}

/// Statistics of one sample, and the means of `g` and `g · normalized` per channel.
struct SampleGradient {
    statistics: SampleStatistics,
    means: [Vec<f32>; 2],
}

impl InstanceNormGradient {
    /// Of the norm with its activation; `shape` is `[batch, channels]`.
    pub(crate) fn new(
        input: &[f32],
        gradient: &[f32],
        shape: [usize; 2],
        epsilon: f32,
        negative_slope: f32,
    ) -> Self {
        let [batch, channels] = shape;
        let (size, block) = (input.len() / batch, ROWS * channels);
        let samples = input.chunks(size).zip(gradient.chunks(size)).map(|(input, gradient)| {
            let statistics = statistics(input, channels, epsilon);
            let stats = statistics.with_slope(negative_slope);
            let blocks = input.par_chunks(block).zip(gradient.par_chunks(block));
            let sums = sum_blocks(blocks, channels, |(rows, gradient), sums, products| {
                simd::accumulate_gradient_sums(rows, gradient, stats, sums, products);
            });
            SampleGradient { means: means(&sums, size / channels), statistics }
        });
        Self { samples: samples.collect(), negative_slope }
    }

    /// Of the norm in `output = leaky_relu(norm(input) + residual)`; turns `gradient` into that of the residual.
    pub(crate) fn with_residual(
        input: &[f32],
        output: &[f32],
        gradient: &mut [f32],
        shape: [usize; 2],
        epsilon: f32,
        negative_slope: f32,
    ) -> Self {
        let [batch, channels] = shape;
        let (size, block) = (input.len() / batch, ROWS * channels);
        let maps = input.chunks(size).zip(output.chunks(size)).zip(gradient.chunks_mut(size));
        let samples = maps.map(|((input, output), gradient)| {
            let statistics = statistics(input, channels, epsilon);
            let stats = statistics.with_slope(IDENTITY_SLOPE);
            let blocks = input.par_chunks(block).zip(output.par_chunks(block));
            let blocks = blocks.zip(gradient.par_chunks_mut(block));
            let sums = sum_blocks(blocks, channels, |((rows, output), gradient), sums, products| {
                simd::leaky_gradient(output, gradient, negative_slope);
                simd::accumulate_gradient_sums(rows, gradient, stats, sums, products);
            });
            SampleGradient { means: means(&sums, size / channels), statistics }
        });
        Self { samples: samples.collect(), negative_slope: IDENTITY_SLOPE }
    }

    /// The gradient of the input.
    pub(crate) fn input(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let size = input.len() / self.samples.len();
        let channels = self.samples[0].statistics.mean.len();
        let chunking = Chunking { len: input.len(), group: size, block: ROWS * channels };
        par_init_chunks(chunking, |(): &mut (), at, input_grad| {
            let SampleGradient { statistics, means: [gradients, products] } = &self.samples[at / size];
            let stats = statistics.with_slope(self.negative_slope);
            simd::instance_norm_gradient(
                &input[at..],
                &gradient[at..],
                stats,
                [gradients, products],
                input_grad,
            );
        })
    }
}

/// Means from two sums per channel over `count` voxels.
fn means(sums: &[Vec<f64>; 2], count: usize) -> [Vec<f32>; 2] {
    sums.each_ref().map(|sums| sums.iter().map(|sum| (sum / count as f64) as f32).collect())
}

/// Mean and reciprocal standard deviation of one row.
fn row_statistics(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = simd::sum(row) / count;
    let variance = simd::squared_distance(row, mean) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// `gamma · (x − mean) / √(variance + ε) + beta` per row.
pub(crate) fn layer_norm(input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let channels = gamma.len();
    par_init_chunks(Chunking::blocks(input.len(), ROWS * channels), |(): &mut (), at, out| {
        for (row, out) in input[at..].chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            let (mean, scale) = row_statistics(row, epsilon);
            simd::scale_and_shift(row, [mean, scale], [gamma, beta], out);
        }
    })
}

/// Gradients of the input and parameters of a layer norm.
pub(crate) struct LayerNormGradients {
    pub(crate) input: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

/// Gradients of [`layer_norm`].
pub(crate) fn layer_norm_gradient(
    input: &[f32],
    gamma: &[f32],
    gradient: &[f32],
    epsilon: f32,
) -> LayerNormGradients {
    let channels = gamma.len();
    let part = (input.len() / channels).div_ceil(PARTS).max(1) * channels;
    let mut input_grad = vec![0.0; input.len()];
    let parts: Vec<[Vec<f32>; 2]> = input
        .par_chunks(part)
        .zip(gradient.par_chunks(part))
        .zip(input_grad.par_chunks_mut(part))
        .map(|((input, gradient), input_grad)| {
            let (mut gammas, mut betas) = (vec![0.0; channels], vec![0.0; channels]);
            let rows = input.chunks_exact(channels).zip(gradient.chunks_exact(channels));
            for ((row, gradient), input_grad) in rows.zip(input_grad.chunks_exact_mut(channels)) {
                let statistics = row_statistics(row, epsilon).into();
                simd::layer_norm_gradient(
                    row,
                    gradient,
                    statistics,
                    gamma,
                    [&mut gammas, &mut betas],
                    input_grad,
                );
            }
            [gammas, betas]
        })
        .collect();
    let (mut gamma_grad, mut beta_grad) = (vec![0.0; channels], vec![0.0; channels]);
    for [gammas, betas] in parts {
        simd::add(&mut gamma_grad, &gammas);
        simd::add(&mut beta_grad, &betas);
    }
    LayerNormGradients { input: input_grad, gamma: gamma_grad, beta: beta_grad }
}
