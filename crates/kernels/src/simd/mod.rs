//! Loops over slices, compiled for several instruction sets; the best one is chosen at run time.
//!
//! Reductions keep sixteen partial sums on every processor, which fixes their order and therefore their bits.

mod adamw;
mod exp;
mod gelu;
mod mask;
mod norm;
mod softmax;

use multiversion::multiversion;

pub(crate) use adamw::adamw;
pub(crate) use gelu::{gelu, gelu_gradient};
pub(crate) use mask::{SUMS, mask_sums, mask_sums_gradient};
pub(crate) use norm::{
    ChannelStats, accumulate_gradient_sums, accumulate_moments, instance_norm_gradient, layer_norm_gradient,
    leaky_gradient, normalize, normalize_add, scale_and_shift,
};
pub(crate) use softmax::{softmax, softmax_gradient, softmax_gradient_inline, softmax_inline};

/// Partial results of a reduction: one vector register of AVX-512.
const LANES: usize = 16;

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

/// Sum of the values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn sum(values: &[f32]) -> f32 {
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
