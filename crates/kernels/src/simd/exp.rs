//! The exponential and the error function, inlined into the loops that use them.

/// eˣ with a relative error near 1e-7: range reduction by powers of two, then a polynomial. Zero below −80: masked scores
/// would otherwise give subnormal numbers, which slow some processors down a hundredfold.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding this rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const MIN_INPUT: f32 = -80.0;
    let underflows = x < MIN_INPUT;
    let x = x.clamp(MIN_INPUT, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let remainder = power.mul_add(-1.428_606_8e-6, power.mul_add(-0.693_145_75, x));
    let mut sum = 1.0 / 720.0f32;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum.mul_add(remainder, coefficient);
    }
    let power = f32::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << 23));
    if underflows { 0.0 } else { power }
}

/// erf(x) by Abramowitz and Stegun 7.1.26, absolute error 5e-7 in f32; `exp_neg_square` is e^(−x²).
#[inline(always)]
pub(super) fn erf(x: f32, exp_neg_square: f32) -> f32 {
    let t = 1.0 / x.abs().mul_add(0.327_591_1, 1.0);
    let mut sum = 1.061_405_4f32;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        sum = sum.mul_add(t, coefficient);
    }
    (1.0 - sum * t * exp_neg_square).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_equals_float64() {
        for x in (-8000..=8800).map(|i| i as f32 / 100.0) {
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) is {expected}, found {found}");
        }
        assert!(exp(f32::NAN).is_nan());
    }
}
