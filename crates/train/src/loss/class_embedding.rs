//! Class-embedding supervision by the decoder's own logits (method.md 7.2).

use burn::tensor::{Tensor, activation::log_softmax};

use super::segmentation::binary_cross_entropy;

/// Cross-entropy of the class embeddings against the argmax of the logits at their resolution, without gradient to the
/// logits.
///
/// # Shapes
///
/// - `class_embedding`: `[batch, channels, x/f, y/f, z/f]`
/// - `logits`: `[batch, channels, x, y, z]`, with an even factor f
/// - `valid`: `[batch, x, y, z]`, 0 where the label is ignored, else 1; `None` if no label is. An embedding is weighted
///   by the fraction of its voxels that are valid.
pub fn class_embedding_loss(
    class_embedding: Tensor<5>,
    logits: Tensor<5>,
    valid: Option<Tensor<4>>,
) -> Tensor<1> {
    let [batch, channels, ..] = class_embedding.dims();
    let weights = valid.map(|valid| embedding_weights(valid, class_embedding.dims()));
    let log_p = log_softmax(class_embedding.clone(), 1);
    let target = downsample(logits.detach(), class_embedding.dims()).argmax(1);
    let voxels = target.dims().iter().product::<usize>() / batch;
    let log_p = log_p.reshape([batch, channels, voxels]);
    let log_p = log_p.gather(1, target.reshape([batch, 1, voxels]));
    match weights {
        None => log_p.mean().neg(),
        Some(weights) => {
            let weights = weights.reshape([batch, 1, voxels]);
            (log_p * weights.clone()).sum().neg() / weights.sum().clamp_min(f64::EPSILON)
        }
    }
}

/// [`class_embedding_loss`] for overlapping classes: binary cross-entropy against whether the class's own logit is at
/// least 0.
///
/// The official code uses the argmax over regions instead. Regions have no background channel, so that would assign a
/// region even to healthy tissue, and only one of nested regions.
///
/// # Shapes
///
/// As those of [`class_embedding_loss`].
pub fn binary_class_embedding_loss(
    class_embedding: Tensor<5>,
    logits: Tensor<5>,
    valid: Option<Tensor<4>>,
) -> Tensor<1> {
    let shape = class_embedding.dims();
    let weights = valid.map(|valid| embedding_weights(valid, shape).expand(shape));
    let target = downsample(logits.detach(), shape).greater_equal_scalar(0.0).float();
    binary_cross_entropy(class_embedding, target, weights)
}

/// The fraction of valid voxels of each embedding, `[batch, 1, x/f, y/f, z/f]`.
fn embedding_weights(valid: Tensor<4>, shape: [usize; 5]) -> Tensor<5> {
    let [batch, _, x, y, z] = shape;
    downsample(valid.unsqueeze_dim(1), [batch, 1, x, y, z])
}

/// Trilinear downsampling by an even factor (`align_corners = false`, no antialiasing): each output is the mean of the
/// 2³ voxels in the middle of its block.
fn downsample(logits: Tensor<5>, shape: [usize; 5]) -> Tensor<5> {
    let mut x = logits;
    for (axis, length) in shape.into_iter().enumerate().skip(2) {
        let size = x.dims()[axis];
        let factor = size / length;
        assert!(size == factor * length && factor.is_multiple_of(2), "the factor is even");
        let middle = |offset: usize| x.clone().slice_dim(axis, middle_of_blocks(size, factor, offset));
        x = (middle(factor / 2 - 1) + middle(factor / 2)) / 2.0;
    }
    x
}

fn middle_of_blocks(size: usize, factor: usize, offset: usize) -> burn::tensor::Slice {
    burn::tensor::Slice::new(offset as isize, Some(size as isize), factor as isize)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::*;

    /// float32 logarithms of a few classes.
    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn equal_embeddings_cost_the_logarithm_of_the_channels() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..5 * 4096, &device).float().sin().reshape([1, 5, 16, 16, 16]);
        let loss =
            class_embedding_loss(Tensor::zeros([1, 5, 2, 2, 2], &device), logits, None).into_scalar::<f32>();
        assert!((loss - 5f32.ln()).abs() < TOLERANCE);
    }

    #[test]
    fn downsampling_takes_the_middle_of_each_block() {
        let device = Device::flex();
        // Along z: 0 1 2 3 | 4 5 6 7, constant along x and y; the middles are (1 + 2) / 2 and (5 + 6) / 2.
        let line = Tensor::<1, Int>::arange(0..8, &device).float().reshape([1, 1, 1, 1, 8]);
        let small = downsample(line.expand([1, 1, 4, 4, 8]), [1, 1, 1, 1, 2]);
        assert_eq!(small.into_data().try_to_vec::<f32>().unwrap(), [1.5, 5.5]);
    }

    #[test]
    fn the_logits_receive_no_gradient() {
        let device = Device::flex().autodiff();
        for loss in [class_embedding_loss, binary_class_embedding_loss] {
            let logits = Tensor::<5>::ones([1, 3, 4, 4, 4], &device).require_grad();
            let embedding = Tensor::<5>::ones([1, 3, 1, 1, 1], &device).require_grad();
            let gradients = loss(embedding.clone(), logits.clone(), None).backward();
            assert!(logits.grad(&gradients).is_none());
            assert!(embedding.grad(&gradients).is_some());
        }
    }

    #[test]
    fn each_overlapping_class_is_supervised_by_its_own_logit() {
        let device = Device::flex();
        // The middles of both blocks along z: −1 and 3 of the first class, 0 (which is for it) and −2 of the second.
        let lines =
            [[9.0, -3.0, 1.0, 9.0, 0.0, 2.0, 4.0, 0.0], [-9.0, 1.0, -1.0, -9.0, 9.0, -2.0, -2.0, 9.0]];
        let logits =
            Tensor::<2>::from_floats(lines, &device).reshape([1, 2, 1, 1, 8]).expand([1, 2, 4, 4, 8]);
        let embedding =
            |values: [[f32; 2]; 2]| Tensor::<2>::from_floats(values, &device).reshape([1, 2, 1, 1, 2]);
        let cost = |values| {
            binary_class_embedding_loss(embedding(values), logits.clone(), None).into_scalar::<f32>()
        };
        assert!((cost([[0.0; 2]; 2]) - 2f32.ln()).abs() < TOLERANCE);
        assert!(cost([[-50.0, 50.0], [50.0, -50.0]]).abs() < TOLERANCE);
        // One of four is wrong.
        assert!((cost([[-50.0, 50.0], [-50.0, -50.0]]) - 12.5).abs() < TOLERANCE);
    }

    #[test]
    fn embeddings_of_ignored_voxels_do_not_change_the_loss() {
        let device = Device::flex();
        let logits = Tensor::<1, Int>::arange(0..3 * 1024, &device).float().sin().reshape([1, 3, 16, 8, 8]);
        let embedding = Tensor::<1, Int>::arange(0..6, &device).float().cos().reshape([1, 3, 2, 1, 1]);
        let valid = Tensor::<4>::ones([1, 16, 8, 8], &device)
            .slice_assign([0..1, 8..16, 0..8, 0..8], Tensor::zeros([1, 8, 8, 8], &device));
        for loss in [class_embedding_loss, binary_class_embedding_loss] {
            let masked = loss(embedding.clone(), logits.clone(), Some(valid.clone())).into_scalar::<f32>();
            let half = |tensor: &Tensor<5>, length| tensor.clone().slice_dim(2, 0..length);
            let alone = loss(half(&embedding, 1), half(&logits, 8), None).into_scalar::<f32>();
            assert!((masked - alone).abs() < TOLERANCE, "{masked} and {alone}");
        }
    }
}
