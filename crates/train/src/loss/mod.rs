//! The three losses and their homoscedastic weighting (method.md section 7).

pub mod alignment;
pub mod class_embedding;
pub mod deep_supervision;
pub mod segmentation;

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor},
};
use serde::{Deserialize, Serialize};

pub use alignment::{AlignmentLoss, ConceptWeights, HardNegatives};

use segmentation::{masks, valid_voxels};

use bipvl_data::LabelSchema;
use bipvl_imaging::ClassRelation;
use bipvl_nn::{
    Output, TextInput,
    init::{DropoutRng, Initializer},
};

/// Variants of the losses: where the paper and the official code differ (method.md section 11, rows 7 to 9), and what
/// ablations disable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Terms of the alignment loss.
    pub alignment: AlignmentLoss,
    /// Weights of the concepts in the global alignment.
    pub concept_weights: ConceptWeights,
    /// Negatives of the local alignment.
    pub hard_negatives: HardNegatives,
    /// Weighting of the losses.
    pub weighting: LossWeighting,
}

/// Weight of a loss L with the learned `log_sigma` s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossWeighting {
    /// `L / (2 · e^s) + s`, as in the official code; stationary at a weight of 1 / L. It differs from the other in scale
    /// only.
    #[default]
    OfficialCode,
    /// `½ · e^(−s) · L + ½ · s`, as in Kendall et al.; stationary at half that weight.
    Kendall,
    /// `½ · L`: the initial weights of the others, not learned.
    Fixed,
}

impl LossWeighting {
    /// Losses weighted by their learned `log_sigma`.
    pub fn weigh(self, losses: Tensor<1>, log_sigma: Tensor<1>) -> Tensor<1> {
        let half = losses * 0.5;
        match self {
            Self::OfficialCode => half * log_sigma.clone().neg().exp() + log_sigma,
            Self::Kendall => half * log_sigma.clone().neg().exp() + log_sigma * 0.5,
            Self::Fixed => half,
        }
    }
}

impl LossConfig {
    /// The part of the text that the losses need: no concepts if the alignment loss is disabled.
    pub fn select_text(&self, text: TextInput) -> TextInput {
        match self.alignment {
            AlignmentLoss::None => text.without_sentences(),
            AlignmentLoss::Both | AlignmentLoss::Global | AlignmentLoss::Local => text,
        }
    }
}

/// The losses of one batch, each `[1]`.
#[derive(Clone, Debug)]
pub struct LossTerms {
    /// Dice and cross-entropy at all supervised scales; binary for overlapping classes.
    pub segmentation: Tensor<1>,
    /// Class-embedding supervision by the logits.
    pub class_embedding: Tensor<1>,
    /// Alignment of text and image; `None` if disabled.
    pub alignment: Option<Tensor<1>>,
}

impl LossTerms {
    /// Computes all terms for one batch; `labels` are `[batch, x, y, z]`, and `label_schema` is that of channel indices.
    /// Voxels with its ignore label have weight 0; the alignment does not depend on labels.
    pub fn compute(
        output: &Output,
        labels: Tensor<4, Int>,
        label_schema: &LabelSchema,
        config: &LossConfig,
        rng: Option<&mut DropoutRng>,
    ) -> Self {
        let (logits, embedding) = (output.logits.clone(), output.class_embedding.clone());
        let (channels, ignore) = (label_schema.num_logit_channels(), label_schema.ignore());
        assert_eq!(logits.dims()[1], channels, "the logits are those of the label schema");
        let valid = ignore.map(|ignore| valid_voxels(&labels, ignore));
        let deep_supervision_loss = |loss: &dyn Fn(Tensor<5>, Tensor<4, Int>) -> Tensor<1>| {
            deep_supervision::deep_supervision_loss(logits.clone(), &output.aux_logits, labels, loss)
        };
        let (segmentation, class_embedding) = match label_schema.relation() {
            ClassRelation::Exclusive => (
                deep_supervision_loss(&|logits, labels| {
                    segmentation::dice_and_cross_entropy(logits, labels, ignore)
                }),
                class_embedding::class_embedding_loss(embedding, logits, valid),
            ),
            ClassRelation::Overlapping => (
                deep_supervision_loss(&|logits, labels| {
                    let valid = ignore.map(|ignore| valid_voxels(&labels, ignore));
                    let masks = masks(labels, &label_schema.label_sets());
                    segmentation::dice_and_binary_cross_entropy(logits, masks, valid)
                }),
                class_embedding::binary_class_embedding_loss(embedding, logits, valid),
            ),
        };
        Self { segmentation, class_embedding, alignment: alignment::alignment(output, config, rng) }
    }
}

/// One learned `log_sigma` per loss.
#[derive(Module, Debug)]
pub struct LossWeights {
    /// `[3]`: segmentation, class embedding, alignment; initially 0.
    pub log_sigma: Param<Tensor<1>>,
}

impl LossWeights {
    /// Equal weights.
    pub fn new(init: &Initializer) -> Self {
        Self { log_sigma: init.constant([3], 0.0) }
    }

    /// The weighted sum (method.md 7.6). A disabled loss contributes nothing, and its weight gets no gradient.
    pub fn total(&self, losses: &LossTerms, weighting: LossWeighting) -> Tensor<1> {
        let mut all = vec![losses.segmentation.clone(), losses.class_embedding.clone()];
        all.extend(losses.alignment.clone());
        let s = self.log_sigma.val().slice_dim(0, 0..all.len());
        weighting.weigh(Tensor::cat(all, 0), s).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn losses(values: [f32; 3]) -> LossTerms {
        let [segmentation, class_embedding, alignment] =
            values.map(|value| Tensor::from_floats([value], &Device::flex().autodiff()));
        LossTerms { segmentation, class_embedding, alignment: Some(alignment) }
    }

    #[test]
    fn the_initial_total_is_half_the_sum() {
        let weights = LossWeights::new(&Initializer::new(0, &Device::flex().autodiff()));
        let total =
            weights.total(&losses([1.5, 0.25, 3.0]), LossWeighting::OfficialCode).into_scalar::<f32>();
        assert!((total - 0.5 * (1.5 + 0.25 + 3.0)).abs() < 1e-6);
    }

    /// Slope of the total at weights whose exponentials are `share` of the losses.
    fn slope(weighting: LossWeighting, share: f32) -> f32 {
        let values = [1.5, 0.25, 3.0];
        let rest = values.map(|value| (value * share).ln());
        let log_sigma = Tensor::from_floats(rest, &Device::flex().autodiff());
        let weights = LossWeights { log_sigma: Param::from_tensor(log_sigma) };
        let gradients = weights.total(&losses(values), weighting).backward();
        let gradient = weights.log_sigma.val().grad(&gradients).expect("the weights are learned");
        gradient.abs().max().into_scalar()
    }

    #[test]
    fn weights_are_stationary_at_the_closed_form() {
        // d/ds [L / (2 eˢ) + s] = 0 at eˢ = L / 2, and d/ds [L / (2 eˢ) + s / 2] = 0 at eˢ = L.
        assert!(slope(LossWeighting::OfficialCode, 0.5) < 1e-6);
        assert!(slope(LossWeighting::Kendall, 1.0) < 1e-6);
    }

    #[test]
    fn fixed_weights_are_one_half_and_get_no_gradient() {
        let log_sigma = Tensor::from_floats([1.0, -2.0, 0.5], &Device::flex().autodiff());
        let weights = LossWeights { log_sigma: Param::from_tensor(log_sigma) };
        let mut losses = losses([1.5, 0.25, 3.0]);
        losses.segmentation = losses.segmentation.require_grad();
        let total = weights.total(&losses, LossWeighting::Fixed);
        assert!((total.clone().into_scalar::<f32>() - 0.5 * (1.5 + 0.25 + 3.0)).abs() < 1e-6);
        assert!(weights.log_sigma.val().grad(&total.backward()).is_none());
    }

    #[test]
    fn a_disabled_loss_contributes_nothing_and_its_weight_gets_no_gradient() {
        let log_sigma = Tensor::from_floats([0.0, 0.0, 7.0], &Device::flex().autodiff());
        let weights = LossWeights { log_sigma: Param::from_tensor(log_sigma) };
        let losses = LossTerms { alignment: None, ..losses([1.5, 0.25, 3.0]) };
        let total = weights.total(&losses, LossWeighting::OfficialCode);
        assert!((total.clone().into_scalar::<f32>() - 0.5 * (1.5 + 0.25)).abs() < 1e-6);
        let gradient = weights.log_sigma.val().grad(&total.backward()).expect("two weights are learned");
        assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap()[2], 0.0);
    }

    #[test]
    fn every_variant_can_be_configured() {
        assert_eq!(toml::from_str::<LossConfig>("").unwrap(), LossConfig::default());
        let turned: LossConfig = toml::from_str(
            r#"
            alignment = "local"
            concept_weights = "over_classes"
            hard_negatives = "least_similar"
            weighting = "kendall"
            "#,
        )
        .unwrap();
        let expected = LossConfig {
            alignment: AlignmentLoss::Local,
            concept_weights: ConceptWeights::OverClasses,
            hard_negatives: HardNegatives::LeastSimilar,
            weighting: LossWeighting::Kendall,
        };
        assert_eq!(turned, expected);
    }
}
