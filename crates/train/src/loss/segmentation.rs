//! Dice and cross-entropy of the logits (method.md 7.1).

use burn::tensor::{
    Int, Tensor,
    activation::{log_sigmoid, log_softmax, sigmoid},
};

/// Added to both sides of the Dice fraction, as MONAI does.
const SMOOTH: f64 = 1e-5;

/// `Dice + CE` with background and equal weights, `[1]`.
///
/// Dice is the mean over batch and channels of `1 − (2 Σ p·y + ε) / (Σ p + Σ y + ε)` with p the softmax over
/// the channels; CE is the mean over voxels of `−log p_y`.
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `labels`: `[batch, x, y, z]`, 0 is background, and voxels with `ignore` have weight 0
pub fn dice_and_cross_entropy(logits: Tensor<5>, labels: Tensor<4, Int>, ignore: Option<u16>) -> Tensor<1> {
    let [batch, channels, x, y, z] = logits.dims();
    let voxels = x * y * z;
    let valid = ignore.map(|ignore| valid_voxels(&labels, ignore).reshape([batch, 1, voxels]));
    let log_p = log_softmax(logits.reshape([batch, channels, voxels]), 1);
    // All zeros where the label is ignored.
    let one_hot = one_hot(labels.reshape([batch, voxels]), channels);
    let sum = (log_p.clone() * one_hot.clone()).sum();
    let cross_entropy = match &valid {
        None => sum / -((batch * voxels) as f64),
        Some(valid) => sum.neg() / valid.clone().sum().clamp_min(1.0),
    };
    let p = log_p.exp();
    let p = match valid {
        None => p,
        Some(valid) => p * valid,
    };
    let shared = (p.clone() * one_hot.clone()).sum_dim(2);
    let total = p.sum_dim(2) + one_hot.sum_dim(2);
    let dice = (shared * 2.0 + SMOOTH) / (total + SMOOTH);
    (dice.neg() + 1.0).mean() + cross_entropy
}

/// `Dice + BCE` for overlapping classes with equal weights, `[1]`.
///
/// Dice is the mean over batch and channels of `1 − 2 Σ p·y / (Σ p² + Σ y² + ε)` with p the sigmoid, as in the
/// official code; BCE is that of `binary_cross_entropy` (method.md section 11, row 19).
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `masks`: the same, 1 where a voxel belongs to the channel's class, else 0
/// - `valid`: `[batch, x, y, z]`, 0 where the label is ignored, else 1; `None` if no label is
pub fn dice_and_binary_cross_entropy(
    logits: Tensor<5>,
    masks: Tensor<5>,
    valid: Option<Tensor<4>>,
) -> Tensor<1> {
    let [batch, channels, x, y, z] = logits.dims();
    let flat = |tensor: Tensor<5>| tensor.reshape([batch, channels, x * y * z]);
    let (logits, masks) = (flat(logits), flat(masks));
    let valid = valid.map(|valid| valid.reshape([batch, 1, x * y * z]).expand([batch, channels, x * y * z]));
    let p = sigmoid(logits.clone());
    let p = match &valid {
        None => p,
        Some(valid) => p * valid.clone(),
    };
    let shared = (p.clone() * masks.clone()).sum_dim(2);
    // The square of a mask is the mask.
    let total = p.square().sum_dim(2) + masks.clone().sum_dim(2);
    let dice = shared * 2.0 / (total + SMOOTH);
    (dice.neg() + 1.0).mean() + binary_cross_entropy(logits, masks, valid)
}

/// The mean of `−log σ(z)` where the target is 1, and of `−log(1 − σ(z))` where it is 0, weighted by `weights`.
pub(super) fn binary_cross_entropy<const D: usize>(
    logits: Tensor<D>,
    target: Tensor<D>,
    weights: Option<Tensor<D>>,
) -> Tensor<1> {
    // 1 − σ(z) = σ(−z), so both terms are log-sigmoids and numerically stable.
    let log_likelihood = log_sigmoid(logits * (target * 2.0 - 1.0));
    match weights {
        None => log_likelihood.mean().neg(),
        Some(weights) => {
            (log_likelihood * weights.clone()).sum().neg() / weights.sum().clamp_min(f64::EPSILON)
        }
    }
}

/// 0 where the label is ignored, else 1, `[batch, x, y, z]`.
pub(super) fn valid_voxels(labels: &Tensor<4, Int>, ignore: u16) -> Tensor<4> {
    labels.clone().not_equal_scalar(i64::from(ignore)).float()
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
        let loss = dice_and_cross_entropy(Tensor::zeros([1, 4, 4, 4, 4], &device), labels(&device), None);
        // p = 1/4 everywhere and each class fills a quarter: Dice is 2·4 / (16 + 16).
        let expected = 4f32.ln() + 1.0 - 2.0 * 4.0 / 32.0;
        assert!((loss.into_scalar::<f32>() - expected).abs() < TOLERANCE);
    }

    #[test]
    fn a_perfect_prediction_has_zero_loss() {
        let device = Device::flex();
        let one_hot = one_hot(labels(&device).reshape([1, 64]), 4).reshape([1, 4, 4, 4, 4]);
        let loss = dice_and_cross_entropy(one_hot * 50.0, labels(&device), None).into_scalar::<f32>();
        assert!(loss.abs() < TOLERANCE, "found {loss}");
    }

    /// Four labels in equal parts: the first region holds three of them, the second one.
    fn nested(device: &Device) -> Tensor<5> {
        masks(labels(device), &[&[1, 2, 3], &[3]])
    }

    #[test]
    fn masks_are_unions_of_labels() {
        let device = Device::flex();
        let masks = nested(&device).into_data().try_to_vec::<f32>().unwrap();
        let expected = (0..64)
            .map(|voxel| f32::from(voxel % 4 > 0))
            .chain((0..64).map(|voxel| f32::from(voxel % 4 == 3)));
        assert_eq!(masks, expected.collect::<Vec<_>>());
    }

    #[test]
    fn zero_logits_of_regions_have_the_closed_form_loss() {
        let device = Device::flex();
        let loss =
            dice_and_binary_cross_entropy(Tensor::zeros([1, 2, 4, 4, 4], &device), nested(&device), None);
        // p = ½ on 64 voxels: 2·½·|y| / (64/4 + |y|) with |y| of 48 and of 16.
        let dice = f32::midpoint(48.0 / 64.0, 16.0 / 32.0);
        let expected = 2f32.ln() + 1.0 - dice;
        assert!((loss.into_scalar::<f32>() - expected).abs() < TOLERANCE);
    }

    #[test]
    fn perfect_regions_have_zero_loss_and_wrong_ones_their_logit() {
        let device = Device::flex();
        let masks = nested(&device);
        let certain = (masks.clone() * 2.0 - 1.0) * 50.0;
        let right = dice_and_binary_cross_entropy(certain.clone(), masks.clone(), None).into_scalar::<f32>();
        assert!(right.abs() < TOLERANCE, "found {right}");
        // A Dice of 0 costs 1, and −log σ(−50) is 50.
        let wrong = dice_and_binary_cross_entropy(certain.neg(), masks, None).into_scalar::<f32>();
        assert!((wrong - 51.0).abs() < TOLERANCE, "found {wrong}");
    }

    #[test]
    fn the_gradient_of_the_binary_cross_entropy_is_probability_minus_target() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<1>::from_floats([0.0, 3f32.ln(), -(3f32.ln()), 0.0], &device).require_grad();
        let target = Tensor::<1>::from_floats([1.0, 1.0, 0.0, 0.0], &device);
        let gradients = binary_cross_entropy(logits.clone(), target, None).backward();
        let slope = logits.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
        // Probabilities ½, ¾, ¼, ½, and a mean over four.
        for (found, expected) in slope.iter().zip([-0.125, -0.0625, 0.0625, 0.125]) {
            assert!((found - expected).abs() < TOLERANCE, "{slope:?}");
        }
    }

    #[test]
    fn a_batch_has_the_mean_loss_of_its_samples() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..512, &device).float().sin().reshape([2, 4, 4, 4, 4]);
        let both = labels(&device).repeat_dim(0, 2);
        let whole = dice_and_cross_entropy(logits.clone(), both, None).into_scalar::<f32>();
        let parts: f32 = (0..2)
            .map(|i| {
                let one = logits.clone().slice([i..i + 1, 0..4, 0..4, 0..4, 0..4]);
                dice_and_cross_entropy(one, labels(&device), None).into_scalar::<f32>()
            })
            .sum();
        assert!((whole - parts / 2.0).abs() < TOLERANCE);
    }

    /// The label of ignored voxels.
    const IGNORE: u16 = 255;

    /// Logits and labels of two rows along x, the second ignored.
    fn half_ignored(device: &Device) -> [(Tensor<5>, Tensor<4, Int>); 2] {
        let logits = Tensor::<1, Int>::arange(0..256, device).float().sin().reshape([1, 4, 4, 4, 4]);
        let whole = labels(device).slice_assign(
            [0..1, 2..4, 0..4, 0..4],
            Tensor::<4, Int>::full([1, 2, 4, 4], i64::from(IGNORE), device),
        );
        let half = (logits.clone().slice_dim(2, 0..2), labels(device).slice_dim(1, 0..2));
        [(logits, whole), half]
    }

    #[test]
    fn ignored_voxels_do_not_change_the_loss() {
        let device = Device::flex();
        let [(logits, labels), (half_logits, half_labels)] = half_ignored(&device);
        let with_ignore = dice_and_cross_entropy(logits, labels, Some(IGNORE)).into_scalar::<f32>();
        let without = dice_and_cross_entropy(half_logits, half_labels, None).into_scalar::<f32>();
        assert!((with_ignore - without).abs() < TOLERANCE, "{with_ignore} and {without}");
    }

    #[test]
    fn ignored_voxels_do_not_change_the_loss_of_regions() {
        let device = Device::flex();
        let regions: [&[u16]; 4] = [&[1, 2, 3], &[2, 3], &[3], &[1]];
        let loss = |(logits, labels): (Tensor<5>, Tensor<4, Int>), ignore: Option<u16>| {
            let valid = ignore.map(|ignore| valid_voxels(&labels, ignore));
            dice_and_binary_cross_entropy(logits, masks(labels, &regions), valid).into_scalar::<f32>()
        };
        let [whole, half] = half_ignored(&device);
        let (with_ignore, without) = (loss(whole, Some(IGNORE)), loss(half, None));
        assert!((with_ignore - without).abs() < TOLERANCE, "{with_ignore} and {without}");
    }

    #[test]
    fn a_patch_without_annotated_voxels_has_a_finite_loss_without_gradient() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<5>::ones([1, 4, 4, 4, 4], &device).require_grad();
        let labels = Tensor::<4, Int>::full([1, 4, 4, 4], i64::from(IGNORE), &device);
        let loss = dice_and_cross_entropy(logits.clone(), labels, Some(IGNORE));
        assert!(loss.clone().into_scalar::<f32>().is_finite());
        let gradient = logits.grad(&loss.backward()).unwrap();
        assert_eq!(gradient.abs().max().into_scalar::<f32>(), 0.0);
    }
}
