//! The three losses and their homoscedastic weighting (paper.md section 7).

pub mod alignment;
pub mod class_embedding;
pub mod segmentation;

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor},
};

use crate::model::{
    Output,
    init::{Initializer, Noise},
};

/// The losses of one step, each a tensor of one value.
#[derive(Clone, Debug)]
pub struct Losses {
    /// Dice and cross-entropy of the logits.
    pub segmentation: Tensor<1>,
    /// Class embeddings against the logits.
    pub class_embedding: Tensor<1>,
    /// Text against image, global and local.
    pub alignment: Tensor<1>,
}

impl Losses {
    /// All three for one batch; `labels` are `[batch, x, y, z]`.
    pub fn of(output: &Output, labels: Tensor<4, Int>, noise: Option<&mut Noise>) -> Self {
        let vision = output.vision_embedding.clone();
        let concepts = output.concept_embedding.clone();
        Self {
            segmentation: segmentation::dice_and_cross_entropy(output.logits.clone(), labels),
            class_embedding: class_embedding::supervision(
                output.class_embedding.clone(),
                output.logits.clone(),
            ),
            alignment: alignment::alignment(vision, concepts, noise),
        }
    }
}

/// One learned `log_sigma` per loss.
#[derive(Module, Debug)]
pub struct LossWeights {
    /// `[3]`: segmentation, class embedding, alignment; each starts at 0.
    pub log_sigma: Param<Tensor<1>>,
}

impl LossWeights {
    /// Equal weights.
    pub fn new(init: &Initializer) -> Self {
        Self { log_sigma: init.constant([3], 0.0) }
    }

    /// `Σ Lᵢ / (2 · e^sᵢ) + sᵢ`, the form of the released code (paper.md 7.6).
    pub fn total(&self, losses: &Losses) -> Tensor<1> {
        let all = vec![losses.segmentation.clone(), losses.class_embedding.clone(), losses.alignment.clone()];
        let s = self.log_sigma.val();
        (Tensor::cat(all, 0) * 0.5 * s.clone().neg().exp() + s).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn losses(values: [f32; 3]) -> Losses {
        let [segmentation, class_embedding, alignment] =
            values.map(|value| Tensor::from_floats([value], &Device::flex().autodiff()));
        Losses { segmentation, class_embedding, alignment }
    }

    #[test]
    fn at_the_start_the_total_is_half_the_sum() {
        let weights = LossWeights::new(&Initializer::new(0, &Device::flex().autodiff()));
        let total = weights.total(&losses([1.5, 0.25, 3.0])).into_scalar::<f32>();
        assert!((total - 0.5 * (1.5 + 0.25 + 3.0)).abs() < 1e-6);
    }

    #[test]
    fn a_weight_rests_where_its_exponential_is_half_the_loss() {
        // d/ds [L / (2 eˢ) + s] = 0 at eˢ = L / 2.
        let rest =
            Tensor::from_floats([(0.75f32).ln(), (0.125f32).ln(), (1.5f32).ln()], &Device::flex().autodiff());
        let weights = LossWeights { log_sigma: Param::from_tensor(rest) };
        let gradients = weights.total(&losses([1.5, 0.25, 3.0])).backward();
        let gradient = weights.log_sigma.val().grad(&gradients).expect("the weights are learned");
        assert!(gradient.abs().max().into_scalar::<f32>() < 1e-6);
    }
}
