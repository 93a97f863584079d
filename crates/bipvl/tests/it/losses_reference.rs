//! Every loss, in every form, and their weighted sum against PyTorch and MONAI: values and gradients.

use bipvl::{
    data::LabelSchema,
    nn::Output,
    train::loss::{
        ConceptWeights, HardNegatives, LossConfig, LossTerms, LossWeighting, LossWeights,
        alignment::alignment, class_embedding::class_embedding_loss, segmentation::dice_and_cross_entropy,
    },
};
use burn::{
    module::Param,
    tensor::{Device, Int, Tensor},
};

use crate::reference::{assert_near, made, reference};

/// float32 against float64, in sums over a few hundred voxels and exponentials up to e⁵.
const TOLERANCE: f32 = 1e-5;
const BATCH: usize = 2;
const CLASSES: usize = 5;
const CHANNELS: usize = CLASSES + 1;

fn device() -> Device {
    Device::flex().autodiff()
}

/// The inputs of the losses, each with a gradient.
fn output() -> Output {
    let device = device();
    let logits = made("logits", [BATCH, CHANNELS, 4, 8, 4], &device) * 4.0;
    let class_embedding = made("class_embedding", [BATCH, CHANNELS, 2, 2, 2], &device) * 4.0;
    Output {
        logits: logits.detach().require_grad(),
        class_embedding: class_embedding.detach().require_grad(),
        vision_embedding: made("vision", [BATCH, CLASSES, 8], &device).require_grad(),
        concept_embedding: Some(made("concepts", [1, CLASSES, 3, 8], &device).require_grad()),
        fused_text_embedding: None,
        aux_logits: Vec::new(),
    }
}

fn labels() -> Tensor<4, Int> {
    let drawn = made("labels", [BATCH, 4, 8, 4], &device());
    ((drawn + 1.0) / 2.0 * CHANNELS as f32).floor().int()
}

#[test]
fn dice_and_cross_entropy_equal_monai() {
    let (reference, logits) = (reference("losses"), output().logits);
    let loss = dice_and_cross_entropy(logits.clone(), labels(), None);
    assert_near(loss.clone(), &reference, "segmentation.value", TOLERANCE);
    let gradient = logits.grad(&loss.backward()).unwrap();
    assert_near(gradient, &reference, "segmentation.gradient.logits", TOLERANCE);
}

#[test]
fn class_embedding_supervision_equals_pytorch() {
    let (reference, output) = (reference("losses"), output());
    let loss = class_embedding_loss(output.class_embedding.clone(), output.logits.clone(), None);
    assert_near(loss.clone(), &reference, "class_embedding.value", TOLERANCE);
    let gradients = loss.backward();
    let gradient = output.class_embedding.grad(&gradients).unwrap();
    assert_near(gradient, &reference, "class_embedding.gradient.class_embedding", TOLERANCE);
    assert!(output.logits.grad(&gradients).is_none());
}

#[test]
fn every_form_of_the_alignment_equals_pytorch() {
    let reference = reference("losses");
    for (weights, concept_weights) in
        [("over_concepts", ConceptWeights::OverConcepts), ("over_classes", ConceptWeights::OverClasses)]
    {
        for (negatives, hard_negatives) in
            [("most_similar", HardNegatives::MostSimilar), ("least_similar", HardNegatives::LeastSimilar)]
        {
            let config = LossConfig { concept_weights, hard_negatives, ..LossConfig::default() };
            let output = output();
            let loss = alignment(&output, &config, None).unwrap();
            let (vision, concepts) = (output.vision_embedding, output.concept_embedding.unwrap());
            let case = format!("alignment.{weights}.{negatives}");
            assert_near(loss.clone(), &reference, &format!("{case}.value"), TOLERANCE);
            let gradients = loss.backward();
            let [of_vision, of_concepts] =
                [vision.grad(&gradients), concepts.grad(&gradients).map(|one_text| one_text.squeeze_dim(0))];
            assert_near(of_vision.unwrap(), &reference, &format!("{case}.gradient.vision"), TOLERANCE);
            assert_near(of_concepts.unwrap(), &reference, &format!("{case}.gradient.concepts"), TOLERANCE);
        }
    }
}

fn compare_total(mode: &str, config: LossConfig) {
    let (reference, output) = (reference("losses"), output());
    let weights = LossWeights { log_sigma: Param::from_tensor(made("log_sigma", [3], &device())) };
    let label_schema = LabelSchema::from_labels(&(1..=CLASSES as u16).collect::<Vec<_>>()).unwrap();
    let losses = LossTerms::compute(&output, labels(), &label_schema, &config, None);
    let total = weights.total(&losses, config.weighting);
    assert_near(total.clone(), &reference, &format!("total.{mode}.value"), TOLERANCE);
    let gradients = total.backward();
    let name = |tensor: &str| format!("total.{mode}.gradient.{tensor}");
    let log_sigma = weights.log_sigma.val().grad(&gradients).unwrap();
    assert_near(log_sigma, &reference, &name("log_sigma"), TOLERANCE);
    let logits = output.logits.grad(&gradients).unwrap();
    assert_near(logits, &reference, &name("logits"), TOLERANCE);
    let class_embedding = output.class_embedding.grad(&gradients).unwrap();
    assert_near(class_embedding, &reference, &name("class_embedding"), TOLERANCE);
    let vision = output.vision_embedding.grad(&gradients).unwrap();
    assert_near(vision, &reference, &name("vision"), TOLERANCE);
    let concepts = output.concept_embedding.unwrap().grad(&gradients).unwrap().squeeze_dim::<3>(0);
    assert_near(concepts, &reference, &name("concepts"), TOLERANCE);
}

#[test]
fn the_weighted_sum_equals_pytorch_in_the_paper_mode() {
    compare_total("paper", LossConfig::default());
}

#[test]
fn the_weighted_sum_equals_pytorch_with_every_switch_turned() {
    let config = LossConfig {
        concept_weights: ConceptWeights::OverClasses,
        hard_negatives: HardNegatives::LeastSimilar,
        weighting: LossWeighting::Kendall,
        ..LossConfig::default()
    };
    compare_total("turned", config);
}
