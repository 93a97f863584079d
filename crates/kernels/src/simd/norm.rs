//! Loops of instance norm and layer norm; channels are contiguous.

use multiversion::multiversion;

use super::LANES;

/// Statistics of each channel of one sample, and the activation after the norm.
#[derive(Clone, Copy)]
pub(crate) struct ChannelStats<'a> {
    pub(crate) mean: &'a [f32],
    /// Reciprocal standard deviation.
    pub(crate) scale: &'a [f32],
    pub(crate) negative_slope: f32,
}

/// Adds each row's values and squared distances from `center` to `sums` and `squares`, channel by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn accumulate_moments(rows: &[f32], center: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    for row in rows.chunks_exact(center.len()) {
        for (((&value, &center), sum), square) in row.iter().zip(center).zip(&mut *sums).zip(&mut *squares) {
            let distance = value - center;
            *sum += distance;
            *square = distance.mul_add(distance, *square);
        }
    }
}

/// `leaky_relu((x − mean) · scale)`, channel by channel, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normalize(rows: &mut [f32], mean: &[f32], scale: &[f32], negative_slope: f32) {
    for row in rows.chunks_exact_mut(mean.len()) {
        for ((value, &mean), &scale) in row.iter_mut().zip(mean).zip(scale) {
            let normalized = (*value - mean) * scale;
            *value = if normalized > 0.0 { normalized } else { negative_slope * normalized };
        }
    }
}

/// `leaky_relu((x − mean) · scale + residual)`, channel by channel, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normalize_add(
    rows: &mut [f32],
    residual: &[f32],
    mean: &[f32],
    scale: &[f32],
    negative_slope: f32,
) {
    let channels = mean.len();
    for (row, residual) in rows.chunks_exact_mut(channels).zip(residual.chunks_exact(channels)) {
        for (((value, &residual), &mean), &scale) in row.iter_mut().zip(residual).zip(mean).zip(scale) {
            let sum = (*value - mean) * scale + residual;
            *value = if sum > 0.0 { sum } else { negative_slope * sum };
        }
    }
}

/// `gradient`, multiplied by `negative_slope` where `output` is not positive, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn leaky_gradient(output: &[f32], gradient: &mut [f32], negative_slope: f32) {
    for (gradient, &out) in gradient.iter_mut().zip(output) {
        *gradient = if out > 0.0 { *gradient } else { negative_slope * *gradient };
    }
}

/// Adds `Σ g` and `Σ g · normalized` of each channel, where g is the gradient before the activation.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn accumulate_gradient_sums(
    rows: &[f32],
    gradient: &[f32],
    stats: ChannelStats,
    sums: &mut [f32],
    products: &mut [f32],
) {
    let channels = stats.mean.len();
    let negative_slope = stats.negative_slope;
    for (row, gradient) in rows.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
        let statistics = stats.mean.iter().zip(stats.scale);
        let outputs = sums.iter_mut().zip(&mut *products);
        for (((&value, &gradient), (&mean, &scale)), (sum, product)) in
            row.iter().zip(gradient).zip(statistics).zip(outputs)
        {
            let normalized = (value - mean) * scale;
            let gradient = if normalized > 0.0 { gradient } else { negative_slope * gradient };
            *sum += gradient;
            *product = gradient.mul_add(normalized, *product);
        }
    }
}

/// `scale · (g − mean(g) − normalized · mean(g · normalized))`, channel by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn instance_norm_gradient(
    rows: &[f32],
    gradient: &[f32],
    stats: ChannelStats,
    means: [&[f32]; 2],
    input_grad: &mut [f32],
) {
    let channels = stats.mean.len();
    let negative_slope = stats.negative_slope;
    let [mean_gradient, mean_product] = means;
    let rows = rows.chunks_exact(channels).zip(gradient.chunks_exact(channels));
    for ((row, gradient), input_grad) in rows.zip(input_grad.chunks_exact_mut(channels)) {
        let statistics = stats.mean.iter().zip(stats.scale).zip(mean_gradient.iter().zip(mean_product));
        for (((&value, &gradient), input_grad), ((&mean, &scale), (&mean_gradient, &mean_product))) in
            row.iter().zip(gradient).zip(input_grad).zip(statistics)
        {
            let normalized = (value - mean) * scale;
            let gradient = if normalized > 0.0 { gradient } else { negative_slope * gradient };
            *input_grad = scale * (gradient - mean_gradient - normalized * mean_product);
        }
    }
}

/// `gamma · (x − mean) · scale + beta` of one row; statistics are `[mean, scale]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn scale_and_shift(row: &[f32], statistics: [f32; 2], weights: [&[f32]; 2], output: &mut [f32]) {
    let [mean, scale] = statistics;
    let [gamma, beta] = weights;
    for (((out, &value), &gamma), &beta) in output.iter_mut().zip(row).zip(gamma).zip(beta) {
        *out = ((value - mean) * scale).mul_add(gamma, beta);
    }
}

/// The gradient of one row of a layer norm; adds to the sums of gamma's and beta's gradients.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn layer_norm_gradient(
    row: &[f32],
    gradient: &[f32],
    statistics: [f32; 2],
    gamma: &[f32],
    sums: [&mut [f32]; 2],
    input_grad: &mut [f32],
) {
    let [mean, scale] = statistics;
    let [gamma_sums, beta_sums] = sums;
    let sums = gamma_sums.iter_mut().zip(beta_sums);
    for ((&value, &gradient), (gamma_sum, beta_sum)) in row.iter().zip(gradient).zip(sums) {
        *gamma_sum = gradient.mul_add((value - mean) * scale, *gamma_sum);
        *beta_sum += gradient;
    }
    let (mut mean_grads, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
    let groups = row.chunks(LANES).zip(gradient.chunks(LANES)).zip(gamma.chunks(LANES));
    for ((row, gradient), gamma) in groups {
        let lanes = mean_grads.iter_mut().zip(&mut products);
        for (((&value, &gradient), &gamma), (mean_grad, product)) in
            row.iter().zip(gradient).zip(gamma).zip(lanes)
        {
            let weighted = gradient * gamma;
            *mean_grad += weighted;
            *product = weighted.mul_add((value - mean) * scale, *product);
        }
    }
    let (mut mean_grad, mut product) = (0.0, 0.0);
    for (&s, &p) in mean_grads.iter().zip(&products) {
        mean_grad += s;
        product += p;
    }
    let count = row.len() as f32;
    let (mean_grad, product) = (mean_grad / count, product / count);
    for (((input_grad, &value), &gradient), &gamma) in input_grad.iter_mut().zip(row).zip(gradient).zip(gamma)
    {
        *input_grad = scale * (gradient * gamma - mean_grad - (value - mean) * scale * product);
    }
}
