//! Sums over a mask, and their gradient.

use multiversion::multiversion;

use super::{LANES, exp::exp};

/// Sums of a mask: overlap, squares of the prediction, prediction, squares of the reference, cross-entropy.
pub(crate) const SUMS: usize = 5;
/// Values between two additions in float64.
const BLOCK: usize = 64 * LANES;

/// Adds the [`SUMS`] of `logits` against `masks`, each voxel with its weight; no weights are ones.
pub(crate) fn mask_sums(logits: &[f32], masks: &[f32], weights: Option<&[f32]>) -> [f32; SUMS] {
    let mut sums = [0.0f64; SUMS];
    let ones = [1.0; BLOCK];
    for (block, (logits, masks)) in logits.chunks(BLOCK).zip(masks.chunks(BLOCK)).enumerate() {
        let weights =
            weights.map_or(&ones[..logits.len()], |weights| &weights[block * BLOCK..][..logits.len()]);
        for (sum, part) in sums.iter_mut().zip(block_sums(logits, masks, weights)) {
            *sum += f64::from(part);
        }
    }
    sums.map(|sum| sum as f32)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn block_sums(logits: &[f32], masks: &[f32], weights: &[f32]) -> [f32; SUMS] {
    let mut lanes = [[0.0f32; LANES]; SUMS];
    let mut add = |lane: usize, logit: f32, mask: f32, weight: f32| {
        let [p, cross_entropy] = voxel(logit, mask);
        let (p, y) = (p * weight, mask * weight);
        for (sum, term) in lanes.iter_mut().zip([p * y, p * p, p, y * y, cross_entropy * weight]) {
            sum[lane] += term;
        }
    };
    let whole = logits.len() / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let [logits, masks, weights] = [logits, masks, weights].map(|values| &values[start..start + LANES]);
        for lane in 0..LANES {
            add(lane, logits[lane], masks[lane], weights[lane]);
        }
    }
    for index in whole..logits.len() {
        add(index - whole, logits[index], masks[index], weights[index]);
    }
    lanes.map(|lanes| lanes.iter().sum())
}

/// Probability and cross-entropy `−y ln σ(z) − (1 − y) ln σ(−z)` = `ln(1 + e^(−|z|)) + max(z, 0) − y z`.
#[inline(always)]
fn voxel(logit: f32, mask: f32) -> [f32; 2] {
    let e = exp(-logit.abs());
    let p = if logit >= 0.0 { 1.0 } else { e } / (1.0 + e);
    // ln(1 + e) = 2 artanh(e / (2 + e)); the series to s¹¹ is good to 1e-7 for s ≤ ⅓.
    let s = e / (2.0 + e);
    let square = s * s;
    let mut series = 1.0 / 11.0f32;
    for coefficient in [1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        series = series.mul_add(square, coefficient);
    }
    [p, (2.0 * s).mul_add(series, logit.max(0.0)) - mask * logit]
}

/// The gradient of the logits from those of the sums.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn mask_sums_gradient(
    [logits, masks]: [&[f32]; 2],
    weights: Option<&[f32]>,
    gradient: [f32; SUMS],
    output: &mut [f32],
) {
    let [overlap, squares, prediction, _, cross_entropy] = gradient;
    for (index, ((out, &logit), &mask)) in output.iter_mut().zip(logits).zip(masks).enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[index]);
        let e = exp(-logit.abs());
        let p = if logit >= 0.0 { 1.0 } else { e } / (1.0 + e);
        let slope = e / ((1.0 + e) * (1.0 + e));
        let of_p = weight * (overlap * mask + 2.0 * squares * p) + prediction;
        *out = weight * (of_p * slope + cross_entropy * (p - mask));
    }
}
