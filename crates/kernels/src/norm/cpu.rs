//! Normalization on slices.

use rayon::prelude::*;

use crate::{
    fresh::{Cut, by_blocks},
    vector::{self, Normal},
};

/// Rows one task works on and one partial sum covers: fixed, so that results do not depend on threads.
pub(crate) const ROWS: usize = 512;
/// Parts the gradients of a layer norm's weights are summed in: fixed for the same reason.
const PARTS: usize = 8;
/// The slope that makes a leaky ReLU the identity.
pub(super) const NO_ACTIVATION: f32 = 1.0;

/// Mean and reciprocal standard deviation of each channel of one sample.
struct Statistics {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Statistics {
    fn normal(&self, slope: f32) -> Normal<'_> {
        Normal { mean: &self.mean, scale: &self.scale, slope }
    }
}

/// Sums two quantities per channel over all rows, in blocks of fixed size and in their order.
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

/// Values are measured from the first row, so that a large common offset costs no precision.
fn statistics(sample: &[f32], channels: usize, epsilon: f32) -> Statistics {
    let center = &sample[..channels];
    let blocks = sample.par_chunks(ROWS * channels);
    let [sums, squares] = sum_blocks(blocks, channels, |rows, sums, squares| {
        vector::add_moments(rows, center, sums, squares);
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
    Statistics { mean, scale }
}

/// `leaky((x − mean) / √(variance + ε))` per sample and channel, or of that and what is carried around it.
pub(crate) struct InstanceNorm {
    samples: Vec<Statistics>,
    /// Values of a sample.
    size: usize,
    slope: f32,
}

impl InstanceNorm {
    /// Measures an input; `shape` is `[batch, channels]`.
    pub(crate) fn new(input: &[f32], shape: [usize; 2], epsilon: f32, slope: f32) -> Self {
        let [batch, channels] = shape;
        let size = input.len() / batch;
        let samples = input.chunks(size).map(|sample| statistics(sample, channels, epsilon)).collect();
        Self { samples, size, slope }
    }

    /// Normalizes whole rows of the input, the first of which begins at `at`; adds those of `carried`, a whole
    /// map like the input.
    pub(crate) fn apply(&self, mut at: usize, mut rows: &mut [f32], carried: Option<&[f32]>) {
        while !rows.is_empty() {
            let (of_sample, others) = rows.split_at_mut(rows.len().min(self.size - at % self.size));
            let Statistics { mean, scale } = &self.samples[at / self.size];
            match carried {
                Some(map) => vector::normalize_add(of_sample, &map[at..], mean, scale, self.slope),
                None => vector::normalize(of_sample, mean, scale, self.slope),
            }
            at += of_sample.len();
            rows = others;
        }
    }
}

/// The gradient of [`InstanceNorm`]: sums over the voxels first, then every voxel.
pub(crate) struct InstanceNormGradient {
    samples: Vec<SampleGradient>,
    slope: f32,
}

/// The means over the voxels that the gradient of one sample takes away.
struct SampleGradient {
    statistics: Statistics,
    means: [Vec<f32>; 2],
}

impl InstanceNormGradient {
    /// Of the norm with its activation; `shape` is `[batch, channels]`.
    pub(crate) fn new(input: &[f32], gradient: &[f32], shape: [usize; 2], epsilon: f32, slope: f32) -> Self {
        let [batch, channels] = shape;
        let (size, block) = (input.len() / batch, ROWS * channels);
        let samples = input.chunks(size).zip(gradient.chunks(size)).map(|(input, gradient)| {
            let statistics = statistics(input, channels, epsilon);
            let normal = statistics.normal(slope);
            let blocks = input.par_chunks(block).zip(gradient.par_chunks(block));
            let sums = sum_blocks(blocks, channels, |(rows, gradient), sums, products| {
                vector::add_normal_sums(rows, gradient, normal, sums, products);
            });
            SampleGradient { means: means(&sums, size / channels), statistics }
        });
        Self { samples: samples.collect(), slope }
    }

    /// Of the norm in `output = leaky(norm(input) + carried)`; on the way `gradient` becomes that of what was carried.
    pub(crate) fn with_carried(
        input: &[f32],
        output: &[f32],
        gradient: &mut [f32],
        shape: [usize; 2],
        epsilon: f32,
        slope: f32,
    ) -> Self {
        let [batch, channels] = shape;
        let (size, block) = (input.len() / batch, ROWS * channels);
        let maps = input.chunks(size).zip(output.chunks(size)).zip(gradient.chunks_mut(size));
        let samples = maps.map(|((input, output), gradient)| {
            let statistics = statistics(input, channels, epsilon);
            let normal = statistics.normal(NO_ACTIVATION);
            let blocks = input.par_chunks(block).zip(output.par_chunks(block));
            let blocks = blocks.zip(gradient.par_chunks_mut(block));
            let sums = sum_blocks(blocks, channels, |((rows, output), gradient), sums, products| {
                vector::leaky_gradient(output, gradient, slope);
                vector::add_normal_sums(rows, gradient, normal, sums, products);
            });
            SampleGradient { means: means(&sums, size / channels), statistics }
        });
        Self { samples: samples.collect(), slope: NO_ACTIVATION }
    }

    /// The gradient of the input.
    pub(crate) fn of_input(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let size = input.len() / self.samples.len();
        let channels = self.samples[0].statistics.mean.len();
        let cut = Cut { values: input.len(), group: size, block: ROWS * channels };
        by_blocks(cut, |(): &mut (), at, into| {
            let SampleGradient { statistics, means: [gradients, products] } = &self.samples[at / size];
            let normal = statistics.normal(self.slope);
            vector::normal_gradient(&input[at..], &gradient[at..], normal, [gradients, products], into);
        })
    }
}

/// Two sums of each channel over `count` voxels as means.
fn means(sums: &[Vec<f64>; 2], count: usize) -> [Vec<f32>; 2] {
    sums.each_ref().map(|sums| sums.iter().map(|sum| (sum / count as f64) as f32).collect())
}

/// Mean and reciprocal standard deviation of one row.
fn row_statistics(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = vector::total(row) / count;
    let variance = vector::squared_distance(row, mean) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// `gamma · (x − mean) / √(variance + ε) + beta` per row.
pub(crate) fn layer_norm(input: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let channels = gamma.len();
    by_blocks(Cut::blocks(input.len(), ROWS * channels), |(): &mut (), at, out| {
        for (row, out) in input[at..].chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            let (mean, scale) = row_statistics(row, epsilon);
            vector::scale_and_shift(row, [mean, scale], [gamma, beta], out);
        }
    })
}

/// Gradients of input and weights of a layer norm.
pub(crate) struct LayerNormGradients {
    pub(crate) input: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

/// The gradients of [`layer_norm`].
pub(crate) fn layer_norm_gradient(
    input: &[f32],
    gamma: &[f32],
    gradient: &[f32],
    epsilon: f32,
) -> LayerNormGradients {
    let channels = gamma.len();
    let part = (input.len() / channels).div_ceil(PARTS).max(1) * channels;
    let mut of_input = vec![0.0; input.len()];
    let parts: Vec<[Vec<f32>; 2]> = input
        .par_chunks(part)
        .zip(gradient.par_chunks(part))
        .zip(of_input.par_chunks_mut(part))
        .map(|((input, gradient), into)| {
            let (mut gammas, mut betas) = (vec![0.0; channels], vec![0.0; channels]);
            let rows = input.chunks_exact(channels).zip(gradient.chunks_exact(channels));
            for ((row, gradient), into) in rows.zip(into.chunks_exact_mut(channels)) {
                let statistics = row_statistics(row, epsilon).into();
                vector::layer_norm_gradient(
                    row,
                    gradient,
                    statistics,
                    gamma,
                    [&mut gammas, &mut betas],
                    into,
                );
            }
            [gammas, betas]
        })
        .collect();
    let (mut of_gamma, mut of_beta) = (vec![0.0; channels], vec![0.0; channels]);
    for [gammas, betas] in parts {
        vector::add(&mut of_gamma, &gammas);
        vector::add(&mut of_beta, &betas);
    }
    LayerNormGradients { input: of_input, gamma: of_gamma, beta: of_beta }
}
