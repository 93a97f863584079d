//! Learning-rate schedule, a pure function of the step.

use std::f64::consts::PI;

/// Linear warmup over `warmup` steps, then cosine annealing from `peak` to zero at `steps` (method.md section 11,
/// row 10).
pub fn learning_rate(peak: f64, step: usize, steps: usize, warmup: usize) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / warmup as f64;
    }
    let share = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    peak * 0.5 * (1.0 + (PI * share.min(1.0)).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_has_a_linear_warmup_and_a_cosine_decay() {
        let rates: Vec<f64> = [0, 1, 2, 6, 10].map(|step| learning_rate(1.0, step, 10, 2)).into();
        for (found, expected) in rates.into_iter().zip([0.5, 1.0, 1.0, 0.5, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "expected {expected}, found {found}");
        }
    }
}
