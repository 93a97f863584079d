//! Dice and cross-entropy of the logits (paper.md 7.1).

use burn::tensor::{Int, Tensor, activation::log_softmax};

/// Added to both sides of the Dice fraction, as MONAI does.
const SMOOTH: f64 = 1e-5;

/// `Dice + CE`, background included, equal weights; one value.
///
/// Dice is the mean over batch and channels of `1 − (2 Σ p·y + ε) / (Σ p + Σ y + ε)` with p the softmax over
/// the channels; CE is the mean over voxels of `−log p_y`.
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `labels`: `[batch, x, y, z]`, 0 is background
pub fn dice_and_cross_entropy(logits: Tensor<5>, labels: Tensor<4, Int>) -> Tensor<1> {
    let [batch, channels, x, y, z] = logits.dims();
    let voxels = x * y * z;
    let log_p = log_softmax(logits.reshape([batch, channels, voxels]), 1);
    let one_hot = one_hot(labels.reshape([batch, voxels]), channels);
    let cross_entropy = (log_p.clone() * one_hot.clone()).sum() / -((batch * voxels) as f64);
    let p = log_p.exp();
    let shared = (p.clone() * one_hot.clone()).sum_dim(2);
    let total = p.sum_dim(2) + one_hot.sum_dim(2);
    let dice = (shared * 2.0 + SMOOTH) / (total + SMOOTH);
    (dice.neg() + 1.0).mean() + cross_entropy
}

/// `[batch, voxels]` → `[batch, channels, voxels]`
fn one_hot(labels: Tensor<2, Int>, channels: usize) -> Tensor<3> {
    let of_class = |class: usize| labels.clone().equal_scalar(class as i64).float();
    Tensor::stack((0..channels).map(of_class).collect(), 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// float32 sums over a few hundred voxels.
    const TOLERANCE: f32 = 1e-5;

    fn labels(device: &Device) -> Tensor<4, Int> {
        Tensor::<1, Int>::arange(0..64, device).remainder_scalar(4).reshape([1, 4, 4, 4])
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_channels() {
        let device = Device::flex();
        let loss = dice_and_cross_entropy(Tensor::zeros([1, 4, 4, 4, 4], &device), labels(&device));
        // p = 1/4 everywhere and each class fills a quarter: Dice is 2·4 / (16 + 16).
        let expected = 4f32.ln() + 1.0 - 2.0 * 4.0 / 32.0;
        assert!((loss.into_scalar::<f32>() - expected).abs() < TOLERANCE);
    }

    #[test]
    fn certain_and_right_costs_nothing() {
        let device = Device::flex();
        let one_hot = one_hot(labels(&device).reshape([1, 64]), 4).reshape([1, 4, 4, 4, 4]);
        let loss = dice_and_cross_entropy(one_hot * 50.0, labels(&device)).into_scalar::<f32>();
        assert!(loss.abs() < TOLERANCE, "found {loss}");
    }

    #[test]
    fn a_batch_costs_the_mean_of_its_samples() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..512, &device).float().sin().reshape([2, 4, 4, 4, 4]);
        let both = labels(&device).repeat_dim(0, 2);
        let whole = dice_and_cross_entropy(logits.clone(), both).into_scalar::<f32>();
        let parts: f32 = (0..2)
            .map(|i| {
                let one = logits.clone().slice([i..i + 1, 0..4, 0..4, 0..4, 0..4]);
                dice_and_cross_entropy(one, labels(&device)).into_scalar::<f32>()
            })
            .sum();
        assert!((whole - parts / 2.0).abs() < TOLERANCE);
    }
}
