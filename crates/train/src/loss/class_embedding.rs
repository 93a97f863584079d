//! Class-embedding supervision by the decoder's own logits (paper.md 7.2).

use burn::tensor::{Tensor, activation::log_softmax};

use super::segmentation::binary_cross_entropy;

/// Cross-entropy of the class embeddings against the most likely class of the logits at the embeddings'
/// resolution; the logits receive no gradient.
///
/// # Shapes
///
/// - `class_embedding`: `[batch, channels, x/f, y/f, z/f]`
/// - `logits`: `[batch, channels, x, y, z]`, with an even factor f
pub fn supervision(class_embedding: Tensor<5>, logits: Tensor<5>) -> Tensor<1> {
    let [batch, channels, ..] = class_embedding.dims();
    let log_p = log_softmax(class_embedding.clone(), 1);
    let target = shrink(logits.detach(), class_embedding.dims()).argmax(1);
    let voxels = target.dims().iter().product::<usize>() / batch;
    let log_p = log_p.reshape([batch, channels, voxels]);
    log_p.gather(1, target.reshape([batch, 1, voxels])).mean().neg()
}

/// The same where classes overlap: binary cross-entropy of each class's embedding against whether the class's
/// own logit, at the embeddings' resolution, is for it.
///
/// The release takes the most likely of the regions instead. Regions have no background, so that would name one
/// even in healthy tissue, and of regions that lie in each other it would name one and deny the others.
///
/// # Shapes
///
/// As those of [`supervision`].
pub fn supervision_of_each(class_embedding: Tensor<5>, logits: Tensor<5>) -> Tensor<1> {
    let target = shrink(logits.detach(), class_embedding.dims()).greater_equal_scalar(0.0).float();
    binary_cross_entropy(class_embedding, target)
}

/// Trilinear resize to a shape smaller by an even factor (`align_corners = false`, no antialiasing): each
/// output is the mean of the 2³ voxels in the middle of its block.
fn shrink(logits: Tensor<5>, shape: [usize; 5]) -> Tensor<5> {
    let mut map = logits;
    for (axis, wanted) in shape.into_iter().enumerate().skip(2) {
        let size = map.dims()[axis];
        let factor = size / wanted;
        assert!(size == factor * wanted && factor.is_multiple_of(2), "an even factor between the maps");
        let middle = |offset: usize| map.clone().slice_dim(axis, middle_of_blocks(size, factor, offset));
        map = (middle(factor / 2 - 1) + middle(factor / 2)) / 2.0;
    }
    map
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
        let loss = supervision(Tensor::zeros([1, 5, 2, 2, 2], &device), logits).into_scalar::<f32>();
        assert!((loss - 5f32.ln()).abs() < TOLERANCE);
    }

    #[test]
    fn shrinking_takes_the_middle_of_each_block() {
        let device = Device::flex();
        // Along z: 0 1 2 3 | 4 5 6 7, constant along x and y; the middles are (1 + 2) / 2 and (5 + 6) / 2.
        let line = Tensor::<1, Int>::arange(0..8, &device).float().reshape([1, 1, 1, 1, 8]);
        let small = shrink(line.expand([1, 1, 4, 4, 8]), [1, 1, 1, 1, 2]);
        assert_eq!(small.into_data().try_to_vec::<f32>().unwrap(), [1.5, 5.5]);
    }

    #[test]
    fn the_logits_receive_no_gradient() {
        let device = Device::flex().autodiff();
        for supervision in [supervision, supervision_of_each] {
            let logits = Tensor::<5>::ones([1, 3, 4, 4, 4], &device).require_grad();
            let embedding = Tensor::<5>::ones([1, 3, 1, 1, 1], &device).require_grad();
            let gradients = supervision(embedding.clone(), logits.clone()).backward();
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
        let cost = |values| supervision_of_each(embedding(values), logits.clone()).into_scalar::<f32>();
        assert!((cost([[0.0; 2]; 2]) - 2f32.ln()).abs() < TOLERANCE);
        assert!(cost([[-50.0, 50.0], [50.0, -50.0]]).abs() < TOLERANCE);
        // One of four is wrong.
        assert!((cost([[-50.0, 50.0], [-50.0, -50.0]]) - 12.5).abs() < TOLERANCE);
    }
}
