//! The prompted network: order, padding and company of prompts; presence; gradients.

use bipvl::{
    nn::{
        BackboneConfig, BiPvlSegConfig, ModelSize, TokenBatch,
        bifusion::FusionDirection,
        init::Initializer,
        prompts::{EncodedPrompts, PromptSeg},
    },
    text::TokenizedTexts,
};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;

/// float32 sums in another order.
const TOLERANCE: f32 = 2e-5;
const SIDE: usize = 32;

fn config() -> BiPvlSegConfig {
    let mut config = ModelSize::Tiny.prompted_config(1);
    let BackboneConfig::SwinUnetr(vision) = &mut config.vision;
    vision.feature_size = 8;
    config.text.vocab_size = 40;
    config.text.stage_layers = vec![1; 4];
    config
}

fn network(config: &BiPvlSegConfig, device: &Device) -> PromptSeg {
    PromptSeg::new(&mut Initializer::new(7, device), config)
}

fn image(batch: usize, device: &Device) -> Tensor<5> {
    // Intensities and coordinates.
    let values: Vec<f32> = (0..4 * batch * SIDE.pow(3)).map(|i| (i as f32 * 0.37).sin()).collect();
    Tensor::from_data(TensorData::new(values, [batch, 4, SIDE, SIDE, SIDE]), device)
}

/// Texts of these ids, padded to `length`.
fn tokens(texts: &[&[i64]], length: usize, device: &Device) -> TokenBatch {
    let shape = (texts.len(), length);
    let ids = Array2::from_shape_fn(shape, |(text, token)| texts[text].get(token).copied().unwrap_or(0));
    let mask = Array2::from_shape_fn(shape, |(text, token)| token < texts[text].len());
    TokenBatch::new(&TokenizedTexts { input_ids: ids, attention_mask: mask }, device)
}

const A: &[i64] = &[2, 10, 11, 3];
const B: &[i64] = &[2, 20, 3];
const C: &[i64] = &[2, 30, 31, 32, 3];

fn encode(network: &PromptSeg, texts: &[&[i64]], length: usize) -> EncodedPrompts {
    network.encode_prompts(&tokens(texts, length, &Device::flex()), texts.len(), None)
}

/// One logit map per prompt.
fn logits(network: &PromptSeg, texts: &[&[i64]], length: usize) -> Vec<Vec<f32>> {
    let (logits, _) = network.segment(image(1, &Device::flex()), &encode(network, texts, length));
    let values = logits.into_data().try_to_vec::<f32>().unwrap();
    values.chunks(SIDE.pow(3)).map(<[f32]>::to_vec).collect()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn permuted_prompts_have_permuted_logits() {
    let network = network(&config(), &Device::flex());
    let [abc, cab] = [[A, B, C], [C, A, B]].map(|texts| logits(&network, &texts, 5));
    for (place, other) in [(0, 1), (1, 2), (2, 0)] {
        assert!(largest_difference(&abc[place], &cab[other]) < TOLERANCE);
    }
    assert!(largest_difference(&abc[0], &abc[1]) > 100.0 * TOLERANCE, "prompts differ at all");
}

#[test]
fn padding_and_a_duplicate_change_nothing_beyond_what_company_does() {
    let network = network(&config(), &Device::flex());
    let [short, padded] = [5, 9].map(|length| logits(&network, &[A, C], length));
    for place in 0..2 {
        assert!(largest_difference(&short[place], &padded[place]) < TOLERANCE);
    }
    let twice = logits(&network, &[A, A], 4);
    assert!(largest_difference(&twice[0], &twice[1]) < TOLERANCE);
    let alone = logits(&network, &[A], 4);
    assert!(largest_difference(&twice[0], &alone[0]) < TOLERANCE, "the image attends to equal keys alike");
}

#[test]
fn company_changes_nothing_where_the_image_never_reads() {
    let mut config = config();
    config.fusion.direction = FusionDirection::VisionToText;
    let network = network(&config, &Device::flex());
    let (alone, together) = (logits(&network, &[A], 5), logits(&network, &[A, B, C], 5));
    assert!(largest_difference(&alone[0], &together[0]) < TOLERANCE);
}

#[test]
fn prompts_of_all_samples_are_those_of_each() {
    let device = Device::flex();
    let network = network(&config(), &device);
    let shared = network.segment(image(2, &device), &encode(&network, &[A, B], 4)).0;
    let mut each = encode(&network, &[A, B, A, B], 4);
    each.num_prompts = 2;
    let each = network.segment(image(2, &device), &each).0;
    let difference: f32 = (shared - each).abs().max().into_scalar();
    assert!(difference < TOLERANCE);
}

#[test]
fn presence_never_raises_a_logit() {
    let network = network(&config(), &Device::flex());
    let mut without = network.clone();
    without.head.presence = None;
    let (lowered, raw) = (logits(&network, &[A, B], 4), logits(&without, &[A, B], 4));
    for (lowered, raw) in lowered.iter().flatten().zip(raw.iter().flatten()) {
        assert!(lowered < raw);
    }
}
