//! GELU and its gradient.

use multiversion::multiversion;

use super::exp::{erf, exp};

/// `x · Φ(x)`, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn gelu(values: &mut [f32]) {
    for value in values {
        let x = *value;
        let exp_half_square = exp(-0.5 * x * x);
        *value = 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2, exp_half_square));
    }
}

/// `gradient · (Φ(x) + x · φ(x))`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn gelu_gradient(input: &[f32], gradient: &[f32], output: &mut [f32]) {
    /// φ(0), the peak of the normal density.
    const PEAK_DENSITY: f32 = 0.398_942_3;
    for ((out, &x), &gradient) in output.iter_mut().zip(input).zip(gradient) {
        let exp_half_square = exp(-0.5 * x * x);
        let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2, exp_half_square));
        *out = gradient * (x * PEAK_DENSITY).mul_add(exp_half_square, cdf);
    }
}
