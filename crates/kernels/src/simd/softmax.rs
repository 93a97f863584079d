//! Softmax of a row and its gradient.

use multiversion::multiversion;

use super::{LANES, exp::exp};

/// Softmax of one row, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn softmax(row: &mut [f32]) {
    softmax_inline(row);
}

/// [`softmax`] for callers compiled for a processor themselves.
#[inline(always)]
pub(crate) fn softmax_inline(row: &mut [f32]) {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (max, &value) in maxima.iter_mut().zip(chunk) {
            *max = if value > *max { value } else { *max };
        }
    }
    let mut max = f32::NEG_INFINITY;
    for &value in maxima.iter().chain(rest) {
        max = if value > max { value } else { max };
    }
    for value in row.iter_mut() {
        *value = exp(*value - max);
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

/// The gradient through one row of a softmax: `grad ← p · (grad − Σ p · grad)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn softmax_gradient(probabilities: &[f32], grad: &mut [f32]) {
    softmax_gradient_inline(probabilities, grad);
}

/// [`softmax_gradient`] for callers compiled for a processor themselves.
#[inline(always)]
pub(crate) fn softmax_gradient_inline(probabilities: &[f32], grad: &mut [f32]) {
    let (chunks, rest) = probabilities.as_chunks::<LANES>();
    let (grad_chunks, grad_rest) = grad.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (chunk, grads) in chunks.iter().zip(grad_chunks) {
        for ((sum, &p), &g) in sums.iter_mut().zip(chunk).zip(grads) {
            *sum = p.mul_add(g, *sum);
        }
    }
    let mut sum = 0.0;
    for &value in &sums {
        sum += value;
    }
    for (&p, &g) in rest.iter().zip(grad_rest) {
        sum = p.mul_add(g, sum);
    }
    for (g, &p) in grad.iter_mut().zip(probabilities) {
        *g = p * (*g - sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every third score is masked by −100.
    #[test]
    fn masked_scores_get_no_weight_and_no_weight_is_subnormal() {
        let mut row: Vec<f32> = (0..40).map(|i| if i % 3 == 0 { -100.0 } else { -2.0 * i as f32 }).collect();
        softmax(&mut row);
        for (i, weight) in row.into_iter().enumerate() {
            assert_eq!(weight == 0.0, i % 3 == 0, "weight {i} is {weight}");
            assert!(weight == 0.0 || weight.is_normal(), "weight {i} is {weight}");
        }
    }
}
