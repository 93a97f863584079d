//! Deep supervision: the loss of the segmentation at several scales of the decoder.

use burn::tensor::{Int, Tensor};

/// The loss of the logits and of those of coarser scales, weighted 1, ½, ¼ and so on, the weights then
/// divided by their sum, as in nnU-Net; without coarser scales the loss itself. The labels of a coarser scale
/// are those of the first voxel of each of its cubes.
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `coarser`: finest first, `[batch, channels, x/2ⁱ, y/2ⁱ, z/2ⁱ]`
/// - `labels`: `[batch, x, y, z]`
pub fn deep_supervision_loss(
    logits: Tensor<5>,
    coarser: &[Tensor<5>],
    labels: Tensor<4, Int>,
    loss: impl Fn(Tensor<5>, Tensor<4, Int>) -> Tensor<1>,
) -> Tensor<1> {
    let mut sum = loss(logits, labels.clone());
    let (mut labels, mut weight, mut weights) = (labels, 1.0, 1.0);
    for logits in coarser {
        labels = halved(labels);
        weight /= 2.0;
        weights += weight;
        sum = sum + loss(logits.clone(), labels.clone()) * weight;
    }
    if coarser.is_empty() { sum } else { sum / weights }
}

/// Every second voxel along each axis. `[batch, x, y, z]` → `[batch, x/2, y/2, z/2]`
fn halved(labels: Tensor<4, Int>) -> Tensor<4, Int> {
    let [batch, x, y, z] = labels.dims();
    let [x, y, z] = [x / 2, y / 2, z / 2];
    labels
        .reshape([batch, x, 2, y, 2, z, 2])
        .slice([0..batch, 0..x, 0..1, 0..y, 0..1, 0..z, 0..1])
        .reshape([batch, x, y, z])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::loss::segmentation::dice_and_cross_entropy;

    #[test]
    fn coarser_labels_are_every_second_voxel() {
        let labels = Tensor::<1, Int>::arange(0..2 * 4 * 2 * 6, &Device::flex()).reshape([2, 4, 2, 6]);
        let found: Vec<i64> = halved(labels).into_data().convert::<i64>().try_to_vec().unwrap();
        // Strides 48, 12, 6, 1.
        assert_eq!(found, [0, 2, 4, 24, 26, 28, 48, 50, 52, 72, 74, 76]);
    }

    #[test]
    fn scales_weigh_as_in_nnu_net() {
        // The loss of a scale is the number of its voxels: 64, 8 and 1, weighted 4/7, 2/7 and 1/7.
        let device = Device::flex();
        let logits = |side: usize| Tensor::<5>::ones([1, 2, side, side, side], &device);
        let labels = Tensor::<4, Int>::zeros([1, 4, 4, 4], &device);
        let voxels = |logits: Tensor<5>, labels: Tensor<4, Int>| {
            assert_eq!(logits.dims()[2..], labels.dims()[1..]);
            (logits.sum() / 2.0).reshape([1])
        };
        let found =
            deep_supervision_loss(logits(4), &[logits(2), logits(1)], labels, voxels).into_scalar::<f32>();
        assert!((found - (4.0 * 64.0 + 2.0 * 8.0 + 1.0) / 7.0).abs() < 1e-4, "{found}");
    }

    #[test]
    fn without_coarser_scales_the_loss_is_what_it_was() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..256, &device).float().sin().reshape([1, 4, 4, 4, 4]);
        let labels = Tensor::<1, Int>::arange(0..64, &device).remainder_scalar(4).reshape([1, 4, 4, 4]);
        let plain = dice_and_cross_entropy(logits.clone(), labels.clone()).into_scalar::<f32>();
        let found = deep_supervision_loss(logits, &[], labels, dice_and_cross_entropy).into_scalar::<f32>();
        assert_eq!(found.to_bits(), plain.to_bits());
    }
}
