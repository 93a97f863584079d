//! Global and local contrastive alignment of text and image (method.md 7.3 to 7.5 and section 11, rows 7
//! and 8).
//!
//! B: batch, K: classes, M: concepts per class, S: projection dimension.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

use super::LossConfig;
use bipvl_nn::{Output, init::DropoutRng, layers::NORM_EPS};

/// Softmax temperature.
pub const TEMPERATURE: f64 = 0.2;
/// Standard deviation of the noise added to embeddings before they are compared.
const NOISE_STD: f64 = 0.01;
/// Hard negatives per row.
pub const HARD_NEGATIVES: usize = 3;
/// Added to an entry to mask it in a softmax.
const MASK_VALUE: f64 = -1e9;

/// Terms of the alignment loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlignmentLoss {
    /// Classes (global) and concepts (local), as in the paper.
    #[default]
    Both,
    /// Classes only.
    Global,
    /// Concepts only.
    Local,
    /// Disabled; concepts are not encoded.
    None,
}

/// The axis of the softmax over concept weights in the global loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConceptWeights {
    /// The weights of the concepts of a class sum to 1, as in the paper.
    #[default]
    OverConcepts,
    /// The weights of the classes sum to 1 for each concept, as in the official code.
    OverClasses,
}

/// Negatives of the local loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardNegatives {
    /// The most similar other classes, in the softmax of the positive: the usual meaning of hard negatives.
    #[default]
    MostSimilar,
    /// The least similar classes, the own one included, in a separate sum without temperature, as in the official code.
    LeastSimilar,
}

/// `L_global + L_local`, or the enabled one of them, `[1]`; `None` if both are disabled.
///
/// The global loss represents a class by its concepts, or by its fused text embedding if there is one.
pub fn alignment(
    output: &Output,
    config: &LossConfig,
    mut rng: Option<&mut DropoutRng>,
) -> Option<Tensor<1>> {
    let (vision, concepts) = (output.vision_embedding.clone(), output.concept_embedding.clone()?);
    let classes = output
        .fused_text_embedding
        .clone()
        .unwrap_or_else(|| class_text_embeddings(vision.clone(), concepts.clone(), config.concept_weights));
    let vision = normalize(add_noise(vision, rng.as_deref_mut()));
    let classes = normalize(add_noise(classes, rng.as_deref_mut()));
    let concepts = normalize(add_noise(concepts, rng));
    match config.alignment {
        AlignmentLoss::Both => {
            Some(global_loss(vision.clone(), classes) + local_loss(vision, concepts, config.hard_negatives))
        }
        AlignmentLoss::Global => Some(global_loss(vision, classes)),
        AlignmentLoss::Local => Some(local_loss(vision, concepts, config.hard_negatives)),
        AlignmentLoss::None => None,
    }
}

/// One text embedding per class, `[B, K, S]`: its concepts, weighted by their similarity to its vision embedding.
fn class_text_embeddings(vision: Tensor<3>, concepts: Tensor<4>, weights: ConceptWeights) -> Tensor<3> {
    let [batch, classes, shared] = vision.dims();
    let [_, _, num_concepts, _] = concepts.dims();
    // [B, K, 1, S] against [1 or B, K, M, S] -> [B, K, M, 1]
    let similarity = (normalize(vision).unsqueeze_dim::<4>(2) * normalize(concepts.clone())).sum_dim(3);
    let weights = match weights {
        ConceptWeights::OverConcepts => activation::softmax(similarity, 2),
        ConceptWeights::OverClasses => activation::softmax(similarity, 1),
    };
    let weighted = weights * concepts.expand([batch, classes, num_concepts, shared]);
    weighted.sum_dim(2).squeeze_dim(2)
}

/// `½ [CE(S/τ, diagonal) + CE(Sᵀ/τ, diagonal)]` of the similarities `[B, K, K]`, mean over the batch.
fn global_loss(vision: Tensor<3>, classes: Tensor<3>) -> Tensor<1> {
    let similarity = classes.matmul(vision.transpose()) / TEMPERATURE;
    let [batch, count, _] = similarity.dims();
    let diagonal = Tensor::<2>::eye(count, &similarity.device()).unsqueeze_dim::<3>(0);
    let picked = |similarity| (activation::log_softmax(similarity, 2) * diagonal.clone()).sum();
    let both = picked(similarity.clone()) + picked(similarity.transpose());
    both / (-2.0 * (batch * count) as f64)
}

/// Each concept against its hard negatives in both directions; mean over all.
fn local_loss(vision: Tensor<3>, concepts: Tensor<4>, negatives: HardNegatives) -> Tensor<1> {
    // [1 or B, M, K, S] · [B, 1, S, K] -> [B, M, K, K]
    let concepts = concepts.swap_dims(1, 2);
    let vision = vision.transpose().unsqueeze_dim::<4>(1);
    let [batch, _, shared, classes] = vision.dims();
    let [_, num_concepts, ..] = concepts.dims();
    let concepts = concepts.expand([batch, num_concepts, classes, shared]);
    let similarity = concepts.matmul(vision.expand([batch, num_concepts, shared, classes]));
    let one_way = match negatives {
        HardNegatives::MostSimilar => against_most_similar,
        HardNegatives::LeastSimilar => against_least_similar,
    };
    (one_way(similarity.clone()) + one_way(similarity.swap_dims(2, 3))) / 2.0
}

/// `−log[ e^(S_cc/τ) / (e^(S_cc/τ) + Σ e^(n/τ)) ]`, n the largest entries of row c off the diagonal.
fn against_most_similar(similarity: Tensor<4>) -> Tensor<1> {
    let [.., classes, _] = similarity.dims();
    let diagonal = diagonal(&similarity);
    let similarity = similarity / TEMPERATURE;
    let positive = (similarity.clone() * diagonal.clone()).sum_dim(3);
    let negatives = HARD_NEGATIVES.min(classes - 1);
    if negatives == 0 {
        return positive.sum() * 0.0;
    }
    let hardest = (similarity + diagonal * MASK_VALUE).topk(negatives, 3);
    let entries = Tensor::cat(vec![positive, hardest], 3);
    activation::log_softmax(entries, 3).slice_dim(3, 0..1).mean().neg()
}

/// `−[ log softmax(S/τ)_cc − log Σ e^n ]`, n the smallest entries of row c.
fn against_least_similar(similarity: Tensor<4>) -> Tensor<1> {
    let [.., classes, _] = similarity.dims();
    let diagonal = diagonal(&similarity);
    let least = similarity.clone().neg().topk(HARD_NEGATIVES.min(classes), 3).neg();
    let positive = (activation::log_softmax(similarity / TEMPERATURE, 3) * diagonal).sum_dim(3);
    // Cosines are at most 1, so the exponentials need no shift.
    (least.exp().sum_dim(3).log() - positive).mean()
}

/// The identity, `[1, 1, K, K]`.
fn diagonal(similarity: &Tensor<4>) -> Tensor<4> {
    let [.., classes, _] = similarity.dims();
    Tensor::<2>::eye(classes, &similarity.device()).unsqueeze::<4>()
}

/// Adds normal noise; none without a generator.
pub fn add_noise<const D: usize>(embedding: Tensor<D>, rng: Option<&mut DropoutRng>) -> Tensor<D> {
    match rng {
        Some(rng) => {
            let noise = rng.normal(embedding.dims(), &embedding.device());
            embedding + noise * NOISE_STD
        }
        None => embedding,
    }
}

/// L2-normalizes the last axis.
pub fn normalize<const D: usize>(embedding: Tensor<D>) -> Tensor<D> {
    let length = (embedding.clone().square().sum_dim(D - 1) + NORM_EPS * NORM_EPS).sqrt();
    embedding / length.clamp_min(NORM_EPS)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// float32 exponentials of similarities up to 1/τ = 5.
    const TOLERANCE: f32 = 1e-5;
    const CLASSES: usize = 5;

    /// One axis of the shared space per class, for every sample and concept.
    fn orthonormal() -> (Tensor<3>, Tensor<4>) {
        let axes = Tensor::<2>::eye(CLASSES, &Device::flex());
        let vision = axes.clone().unsqueeze_dim::<3>(0).repeat_dim(0, 2);
        (vision, axes.unsqueeze_dim::<3>(1).repeat_dim(1, 6).unsqueeze_dim(0))
    }

    fn equal() -> (Tensor<3>, Tensor<4>) {
        (Tensor::ones([2, CLASSES, 8], &Device::flex()), Tensor::ones([1, CLASSES, 6, 8], &Device::flex()))
    }

    fn global_of((vision, concepts): (Tensor<3>, Tensor<4>)) -> f32 {
        let classes =
            normalize(class_text_embeddings(vision.clone(), concepts, ConceptWeights::OverConcepts));
        global_loss(normalize(vision), classes).into_scalar()
    }

    fn local_of((vision, concepts): (Tensor<3>, Tensor<4>), negatives: HardNegatives) -> f32 {
        local_loss(normalize(vision), normalize(concepts), negatives).into_scalar()
    }

    fn official_code() -> LossConfig {
        LossConfig {
            concept_weights: ConceptWeights::OverClasses,
            hard_negatives: HardNegatives::LeastSimilar,
            ..LossConfig::default()
        }
    }

    fn align((vision, concepts): (Tensor<3>, Tensor<4>), config: LossConfig) -> f32 {
        let unread = Tensor::zeros([1; 5], &vision.device());
        let output = Output {
            logits: unread.clone(),
            class_embedding: unread,
            vision_embedding: vision,
            concept_embedding: Some(concepts),
            fused_text_embedding: None,
            aux_logits: Vec::new(),
        };
        alignment(&output, &config, None).expect("something is aligned").into_scalar()
    }

    fn assert_near(found: f32, expected: f32) {
        assert!((found - expected).abs() < TOLERANCE, "expected {expected}, found {found}");
    }

    #[test]
    fn equal_embeddings_cost_the_logarithm_of_the_candidates() {
        assert_near(global_of(equal()), (CLASSES as f32).ln());
        assert_near(local_of(equal(), HardNegatives::MostSimilar), 4f32.ln());
        // ln K + s + ln 3 at equal cosines s = 1.
        assert_near(local_of(equal(), HardNegatives::LeastSimilar), (CLASSES as f32).ln() + 1.0 + 3f32.ln());
    }

    #[test]
    fn orthonormal_pairs_have_the_closed_form_loss() {
        let e = (1.0 / TEMPERATURE as f32).exp();
        assert_near(global_of(orthonormal()), -(e / (e + CLASSES as f32 - 1.0)).ln());
        assert_near(local_of(orthonormal(), HardNegatives::MostSimilar), -(e / (e + 3.0)).ln());
        // The three least similar have a cosine of 0.
        let softmax = e / (e + CLASSES as f32 - 1.0);
        assert_near(local_of(orthonormal(), HardNegatives::LeastSimilar), 3f32.ln() - softmax.ln());
    }

    #[test]
    fn equal_similarities_give_equal_weights() {
        let device = Device::flex();
        let concepts = Tensor::<4>::from_floats([[[[1.0, 1.0], [1.0, -1.0]]]], &device);
        let vision = Tensor::<3>::from_floats([[[1.0, 0.0]]], &device);
        let class = class_text_embeddings(vision, concepts, ConceptWeights::OverConcepts)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert_near(class[0], 1.0);
        assert_near(class[1], 0.0);
    }

    #[test]
    fn a_single_class_has_no_negatives() {
        let vision = Tensor::<3>::ones([1, 1, 4], &Device::flex());
        let concepts = Tensor::ones([1, 1, 6, 4], &Device::flex());
        assert_near(align((vision, concepts), LossConfig::default()), 0.0);
    }

    #[test]
    fn the_order_of_the_classes_does_not_matter() {
        let device = Device::flex();
        let mut rng = DropoutRng::new(1, 0);
        let vision = rng.normal([2, 4, 8], &device);
        let concepts = rng.normal([1, 4, 6, 8], &device);
        for config in [LossConfig::default(), official_code()] {
            let before = align((vision.clone(), concepts.clone()), config);
            let after = align((vision.clone().flip([1]), concepts.clone().flip([1])), config);
            assert_near(after, before);
        }
    }

    #[test]
    fn the_loss_is_the_sum_of_its_terms() {
        let part = |alignment| align(orthonormal(), LossConfig { alignment, ..LossConfig::default() });
        assert_near(part(AlignmentLoss::Global), global_of(orthonormal()));
        assert_near(part(AlignmentLoss::Local), local_of(orthonormal(), HardNegatives::MostSimilar));
        assert_near(part(AlignmentLoss::Both), part(AlignmentLoss::Global) + part(AlignmentLoss::Local));
    }
}
