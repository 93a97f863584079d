//! Deep supervision: the segmentation loss at several scales of the decoder.

use burn::tensor::{Int, Tensor};

/// The mean loss over scales with the weights 1, ½, ¼, …, as in nnU-Net; without coarser scales the plain loss. Labels
/// of coarser scales are nearest-neighbor: the first voxel of each cube.
///
/// # Shapes
///
/// - `logits`: `[batch, channels, x, y, z]`
/// - `aux_logits`: finest first, `[batch, channels, x/2ⁱ, y/2ⁱ, z/2ⁱ]`
/// - `labels`: `[batch, x, y, z]`
pub fn deep_supervision_loss(
    logits: Tensor<5>,
    aux_logits: &[Tensor<5>],
    labels: Tensor<4, Int>,
    loss: impl Fn(Tensor<5>, Tensor<4, Int>) -> Tensor<1>,
) -> Tensor<1> {
    let mut sum = loss(logits, labels.clone());
    let (mut labels, mut weight, mut weights) = (labels, 1.0, 1.0);
    for logits in aux_logits {
        labels = downsample_labels(labels);
        weight /= 2.0;
        weights += weight;
        sum = sum + loss(logits.clone(), labels.clone()) * weight;
    }
    if aux_logits.is_empty() { sum } else { sum / weights }
}

/// Every second voxel along each axis. `[batch, x, y, z]` → `[batch, x/2, y/2, z/2]`
fn downsample_labels(labels: Tensor<4, Int>) -> Tensor<4, Int> {
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
        let found: Vec<i64> = downsample_labels(labels).into_data().convert::<i64>().try_to_vec().unwrap();
        // Strides 48, 12, 6, 1.
        assert_eq!(found, [0, 2, 4, 24, 26, 28, 48, 50, 52, 72, 74, 76]);
    }

    #[test]
    fn scales_have_the_weights_of_nnu_net() {
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
    fn without_coarser_scales_the_loss_is_bit_identical() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..256, &device).float().sin().reshape([1, 4, 4, 4, 4]);
        let labels = Tensor::<1, Int>::arange(0..64, &device).remainder_scalar(4).reshape([1, 4, 4, 4]);
        let plain = dice_and_cross_entropy(logits.clone(), labels.clone(), None).into_scalar::<f32>();
        let found = deep_supervision_loss(logits, &[], labels, |logits, labels| {
            dice_and_cross_entropy(logits, labels, None)
        })
        .into_scalar::<f32>();
        assert_eq!(found.to_bits(), plain.to_bits());
    }
}
