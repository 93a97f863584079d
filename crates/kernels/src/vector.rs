//! Loops over slices, compiled for each processor and chosen when the program runs.
//!
//! Reductions keep sixteen partial results, so that their order does not depend on the processor.

use multiversion::multiversion;

use crate::adamw::AdamWStep;

/// Partial results of a reduction: one vector register of AVX-512.
const LANES: usize = 16;

/// eˣ with a relative error near 1e-7: powers of two are split off, a polynomial does the rest. Below −80 it is
/// zero: what a mask hides would else become a subnormal number, and some processors take a hundred times longer for
/// each product with one.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it rounds to the nearest whole number and leaves that in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -80.0;
    let is_hidden = x < LEAST;
    let x = x.clamp(LEAST, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-1.428_606_8e-6, power.mul_add(-0.693_145_75, x));
    let mut sum = 1.0 / 720.0f32;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum.mul_add(rest, coefficient);
    }
    let power = f32::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 23));
    if is_hidden { 0.0 } else { power }
}

/// erf(x) by Abramowitz and Stegun 7.1.26, absolute error 5e-7 in f32; `tail` is e^(−x²).
#[inline(always)]
fn erf(x: f32, tail: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.327_591_1, 1.0);
    let mut sum = 1.061_405_4f32;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        sum = sum.mul_add(t, coefficient);
    }
    (1.0 - sum * t * tail).copysign(x)
}

/// x · Φ(x), the exact (erf) form, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn gelu(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let half = exp(-0.5 * x * x);
        *value = 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2, half));
    }
}

/// `gradient · (Φ(x) + x · φ(x))`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn gelu_gradient(input: &[f32], gradient: &[f32], output: &mut [f32]) {
    const DENSITY: f32 = 0.398_942_3;
    for ((out, &x), &gradient) in output.iter_mut().zip(input).zip(gradient) {
        let half = exp(-0.5 * x * x);
        let below = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2, half));
        *out = gradient * (x * DENSITY).mul_add(half, below);
    }
}

/// Softmax of one row, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn softmax(row: &mut [f32]) {
    softmax_of(row);
}

/// [`softmax`] for callers that are compiled for a processor themselves.
#[inline(always)]
pub(crate) fn softmax_of(row: &mut [f32]) {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (largest, &value) in largest.iter_mut().zip(chunk) {
            *largest = if value > *largest { value } else { *largest };
        }
    }
    let mut top = f32::NEG_INFINITY;
    for &value in largest.iter().chain(rest) {
        top = if value > top { value } else { top };
    }
    for value in row.iter_mut() {
        *value = exp(*value - top);
    }
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    let mut sum = 0.0;
    for &value in sums.iter().chain(rest) {
        sum += value;
    }
    let scale = 1.0 / sum;
    for value in row {
        *value *= scale;
    }
}

/// The gradient through one row of a softmax: `slope ← p · (slope − Σ p · slope)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn softmax_gradient(probabilities: &[f32], slope: &mut [f32]) {
    softmax_gradient_of(probabilities, slope);
}

/// [`softmax_gradient`] for callers that are compiled for a processor themselves.
#[inline(always)]
pub(crate) fn softmax_gradient_of(probabilities: &[f32], slope: &mut [f32]) {
    let (chunks, rest) = probabilities.as_chunks::<LANES>();
    let (slopes, slope_rest) = slope.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (chunk, slopes) in chunks.iter().zip(slopes) {
        for ((sum, &p), &s) in sums.iter_mut().zip(chunk).zip(slopes) {
            *sum = p.mul_add(s, *sum);
        }
    }
    let mut sum = 0.0;
    for &value in &sums {
        sum += value;
    }
    for (&p, &s) in rest.iter().zip(slope_rest) {
        sum = p.mul_add(s, sum);
    }
    for (s, &p) in slope.iter_mut().zip(probabilities) {
        *s = p * (*s - sum);
    }
}

/// `sum += values`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add(sum: &mut [f32], values: &[f32]) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

/// `sum += factor · values`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add_scaled(sum: &mut [f32], values: &[f32], factor: f32) {
    for (sum, &value) in sum.iter_mut().zip(values) {
        *sum = value.mul_add(factor, *sum);
    }
}

/// `gradient`, multiplied by `slope` where `output` is not positive, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn leaky_gradient(output: &[f32], gradient: &mut [f32], slope: f32) {
    for (gradient, &out) in gradient.iter_mut().zip(output) {
        *gradient = if out > 0.0 { *gradient } else { slope * *gradient };
    }
}

/// Adds each row's values and squared distances from `center` to `sums` and `squares`, channel by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add_moments(rows: &[f32], center: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    for row in rows.chunks_exact(center.len()) {
        for (((&value, &center), sum), square) in row.iter().zip(center).zip(&mut *sums).zip(&mut *squares) {
            let distance = value - center;
            *sum += distance;
            *square = distance.mul_add(distance, *square);
        }
    }
}

/// `leaky((x − mean) · scale)`, channel by channel, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normalize(rows: &mut [f32], mean: &[f32], scale: &[f32], slope: f32) {
    for row in rows.chunks_exact_mut(mean.len()) {
        for ((value, &mean), &scale) in row.iter_mut().zip(mean).zip(scale) {
            let normal = (*value - mean) * scale;
            *value = if normal > 0.0 { normal } else { slope * normal };
        }
    }
}

/// `leaky((x − mean) · scale + carried)`, channel by channel, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normalize_add(rows: &mut [f32], carried: &[f32], mean: &[f32], scale: &[f32], slope: f32) {
    let channels = mean.len();
    for (row, carried) in rows.chunks_exact_mut(channels).zip(carried.chunks_exact(channels)) {
        for (((value, &carried), &mean), &scale) in row.iter_mut().zip(carried).zip(mean).zip(scale) {
            let sum = (*value - mean) * scale + carried;
            *value = if sum > 0.0 { sum } else { slope * sum };
        }
    }
}

/// Statistics of a channel that the gradient of a normalization needs.
#[derive(Clone, Copy)]
pub(crate) struct Normal<'a> {
    pub(crate) mean: &'a [f32],
    pub(crate) scale: &'a [f32],
    pub(crate) slope: f32,
}

/// Adds `Σ g` and `Σ g · normal` of each channel, where g is the gradient before the activation.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add_normal_sums(
    rows: &[f32],
    gradient: &[f32],
    normal: Normal,
    sums: &mut [f32],
    products: &mut [f32],
) {
    let channels = normal.mean.len();
    let slope = normal.slope;
    for (row, gradient) in rows.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
        let statistics = normal.mean.iter().zip(normal.scale);
        let into = sums.iter_mut().zip(&mut *products);
        for (((&value, &gradient), (&mean, &scale)), (sum, product)) in
            row.iter().zip(gradient).zip(statistics).zip(into)
        {
            let normal = (value - mean) * scale;
            let gradient = if normal > 0.0 { gradient } else { slope * gradient };
            *sum += gradient;
            *product = gradient.mul_add(normal, *product);
        }
    }
}

/// `scale · (g − mean(g) − normal · mean(g · normal))`, channel by channel.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn normal_gradient(
    rows: &[f32],
    gradient: &[f32],
    normal: Normal,
    means: [&[f32]; 2],
    into: &mut [f32],
) {
    let channels = normal.mean.len();
    let slope = normal.slope;
    let [mean_gradient, mean_product] = means;
    let rows = rows.chunks_exact(channels).zip(gradient.chunks_exact(channels));
    for ((row, gradient), into) in rows.zip(into.chunks_exact_mut(channels)) {
        let statistics = normal.mean.iter().zip(normal.scale).zip(mean_gradient.iter().zip(mean_product));
        for (((&value, &gradient), into), ((&mean, &scale), (&mean_gradient, &mean_product))) in
            row.iter().zip(gradient).zip(into).zip(statistics)
        {
            let normal = (value - mean) * scale;
            let gradient = if normal > 0.0 { gradient } else { slope * gradient };
            *into = scale * (gradient - mean_gradient - normal * mean_product);
        }
    }
}

/// Sum of the values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn total(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    let mut sum = 0.0;
    for &value in sums.iter().chain(rest) {
        sum += value;
    }
    sum
}

/// Sum of the squared distances from `center`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn squared_distance(values: &[f32], center: f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum = (value - center).mul_add(value - center, *sum);
        }
    }
    let mut sum = 0.0;
    for &value in &sums {
        sum += value;
    }
    for &value in rest {
        sum = (value - center).mul_add(value - center, sum);
    }
    sum
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
    into: &mut [f32],
) {
    let [mean, scale] = statistics;
    let [gamma_sums, beta_sums] = sums;
    let sums = gamma_sums.iter_mut().zip(beta_sums);
    for ((&value, &gradient), (gamma_sum, beta_sum)) in row.iter().zip(gradient).zip(sums) {
        *gamma_sum = gradient.mul_add((value - mean) * scale, *gamma_sum);
        *beta_sum += gradient;
    }
    let (mut slopes, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
    let groups = row.chunks(LANES).zip(gradient.chunks(LANES)).zip(gamma.chunks(LANES));
    for ((row, gradient), gamma) in groups {
        let lanes = slopes.iter_mut().zip(&mut products);
        for (((&value, &gradient), &gamma), (slope, product)) in
            row.iter().zip(gradient).zip(gamma).zip(lanes)
        {
            let weighted = gradient * gamma;
            *slope += weighted;
            *product = weighted.mul_add((value - mean) * scale, *product);
        }
    }
    let (mut slope, mut product) = (0.0, 0.0);
    for (&s, &p) in slopes.iter().zip(&products) {
        slope += s;
        product += p;
    }
    let count = row.len() as f32;
    let (slope, product) = (slope / count, product / count);
    for (((into, &value), &gradient), &gamma) in into.iter_mut().zip(row).zip(gradient).zip(gamma) {
        *into = scale * (gradient * gamma - slope - (value - mean) * scale * product);
    }
}

/// One step of AdamW, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn adamw(
    weights: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    step: AdamWStep,
) {
    let (beta1, fresh1) = (step.beta1 as f32, (1.0 - step.beta1) as f32);
    let (beta2, fresh2) = (step.beta2 as f32, (1.0 - step.beta2) as f32);
    let [epsilon, decay, step_size, bias_correction2] =
        [step.epsilon, step.decay, step.step_size, step.bias_correction2].map(|constant| constant as f32);
    let moments = first.iter_mut().zip(second);
    for ((weight, (first, second)), &gradient) in weights.iter_mut().zip(moments).zip(gradient) {
        *first = first.mul_add(beta1, gradient * fresh1);
        *second = second.mul_add(beta2, gradient * gradient * fresh2);
        let spread = (*second / bias_correction2).sqrt() + epsilon;
        *weight = weight.mul_add(decay, -(*first / spread * step_size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the largest of a row, what a mask of −100 leaves.
    #[test]
    fn what_a_mask_hides_weighs_nothing_and_no_weight_is_subnormal() {
        let mut row: Vec<f32> = (0..40).map(|i| if i % 3 == 0 { -100.0 } else { -2.0 * i as f32 }).collect();
        softmax(&mut row);
        for (i, weight) in row.into_iter().enumerate() {
            assert_eq!(weight == 0.0, i % 3 == 0, "weight {i} is {weight}");
            assert!(weight == 0.0 || weight.is_normal(), "weight {i} is {weight}");
        }
    }

    #[test]
    fn the_exponential_is_that_of_float64() {
        for x in (-8000..=8800).map(|i| i as f32 / 100.0) {
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) is {expected}, found {found}");
        }
        assert!(exp(f32::NAN).is_nan());
    }
}
