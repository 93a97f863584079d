//! Dice and cross-entropy of the logits (paper.md 7.1).

use burn::tensor::{
    Int, Tensor,
    activation::{log_sigmoid, log_softmax, sigmoid},
};

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

/// `Dice + BCE` of classes that may overlap, equal weights; one value.
///
/// Dice is the mean over batch and channels of `1 − 2 Σ p·y / (Σ p² + Σ y² + ε)` with p the sigmoid, as in the
/// release; BCE is that of `binary_cross_entropy` (paper.md section 11, row 19).
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `masks`: the same, 1 where a voxel belongs to the channel's class, else 0
pub fn dice_and_binary_cross_entropy(logits: Tensor<5>, masks: Tensor<5>) -> Tensor<1> {
    let [batch, channels, x, y, z] = logits.dims();
    let flat = |map: Tensor<5>| map.reshape([batch, channels, x * y * z]);
    let (logits, masks) = (flat(logits), flat(masks));
    let p = sigmoid(logits.clone());
    let shared = (p.clone() * masks.clone()).sum_dim(2);
    // The square of a mask is the mask.
    let total = p.square().sum_dim(2) + masks.clone().sum_dim(2);
    let dice = shared * 2.0 / (total + SMOOTH);
    (dice.neg() + 1.0).mean() + binary_cross_entropy(logits, masks)
}

/// The mean over all elements of `−log σ(z)` where the target is 1 and of `−log(1 − σ(z))` where it is 0.
pub(super) fn binary_cross_entropy<const D: usize>(logits: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
    // 1 − σ(z) = σ(−z): the sign alone tells both terms apart, and neither loses digits.
    log_sigmoid(logits * (target * 2.0 - 1.0)).mean().neg()
}

/// `[batch, x, y, z]` → `[batch, regions, x, y, z]`, 1 where a voxel has one of the region's labels, else 0.
pub(super) fn masks(labels: Tensor<4, Int>, regions: &[&[u16]]) -> Tensor<5> {
    let of_label = |label: &u16| labels.clone().equal_scalar(i64::from(*label)).float();
    let mask = |region: &&[u16]| {
        region.iter().map(of_label).reduce(|one, other| one + other).expect("a region has labels")
    };
    Tensor::stack(regions.iter().map(mask).collect(), 1)
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

    /// Four labels in equal parts: the first region holds three of them, the second one.
    fn nested(device: &Device) -> Tensor<5> {
        masks(labels(device), &[&[1, 2, 3], &[3]])
    }

    #[test]
    fn masks_hold_the_labels_of_their_regions() {
        let device = Device::flex();
        let masks = nested(&device).into_data().try_to_vec::<f32>().unwrap();
        let expected = (0..64)
            .map(|voxel| f32::from(voxel % 4 > 0))
            .chain((0..64).map(|voxel| f32::from(voxel % 4 == 3)));
        assert_eq!(masks, expected.collect::<Vec<_>>());
    }

    #[test]
    fn undecided_regions_cost_the_logarithm_of_two_and_their_dice() {
        let device = Device::flex();
        let loss = dice_and_binary_cross_entropy(Tensor::zeros([1, 2, 4, 4, 4], &device), nested(&device));
        // p = ½ on 64 voxels: 2·½·|y| / (64/4 + |y|) with |y| of 48 and of 16.
        let dice = f32::midpoint(48.0 / 64.0, 16.0 / 32.0);
        let expected = 2f32.ln() + 1.0 - dice;
        assert!((loss.into_scalar::<f32>() - expected).abs() < TOLERANCE);
    }

    #[test]
    fn certain_and_right_regions_cost_nothing_and_wrong_ones_their_logit() {
        let device = Device::flex();
        let masks = nested(&device);
        let certain = (masks.clone() * 2.0 - 1.0) * 50.0;
        let right = dice_and_binary_cross_entropy(certain.clone(), masks.clone()).into_scalar::<f32>();
        assert!(right.abs() < TOLERANCE, "found {right}");
        // A Dice of 0 costs 1, and −log σ(−50) is 50.
        let wrong = dice_and_binary_cross_entropy(certain.neg(), masks).into_scalar::<f32>();
        assert!((wrong - 51.0).abs() < TOLERANCE, "found {wrong}");
    }

    #[test]
    fn the_slope_of_the_binary_cross_entropy_is_probability_minus_target() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<1>::from_floats([0.0, 3f32.ln(), -(3f32.ln()), 0.0], &device).require_grad();
        let target = Tensor::<1>::from_floats([1.0, 1.0, 0.0, 0.0], &device);
        let gradients = binary_cross_entropy(logits.clone(), target).backward();
        let slope = logits.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
        // Probabilities ½, ¾, ¼, ½, and a mean over four.
        for (found, expected) in slope.iter().zip([-0.125, -0.0625, 0.0625, 0.125]) {
            assert!((found - expected).abs() < TOLERANCE, "{slope:?}");
        }
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
