//! Properties of the fusion block: it has no position codes, and padding is never attended to.

use bipvl::nn::{
    bifusion::{
        BiFusion, FusionBlockKind, FusionConfig, FusionDirection, FusionInput, FusionOutput, TextOutput,
        TextResidual,
    },
    init::{DropoutRng, Initializer},
    weights::state_dict,
};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};

/// Two layers in float32, in another order of summation.
const TOLERANCE: f32 = 1e-5;
const HIDDEN: usize = 12;
const CHANNELS: usize = 8;
const TEXT: usize = 6;
const VISION: usize = 10;
const KINDS: [FusionBlockKind; 2] = [FusionBlockKind::TwoWay, FusionBlockKind::PreNorm];

fn new_block(kind: FusionBlockKind) -> BiFusion {
    block_with_direction(kind, FusionDirection::Bidirectional, TextOutput::Required)
}

fn block_with_direction(
    kind: FusionBlockKind,
    direction: FusionDirection,
    text_output: TextOutput,
) -> BiFusion {
    let config = FusionConfig {
        heads: 4,
        mlp_size: 16,
        block: kind,
        direction,
        text_residual: TextResidual::default(),
        class_scale: false,
    };
    BiFusion::new(&mut Initializer::new(3, &Device::flex()), &config, HIDDEN, CHANNELS, text_output)
}

fn block_with_residual(kind: FusionBlockKind, text_residual: TextResidual) -> BiFusion {
    let config = FusionConfig {
        heads: 4,
        mlp_size: 16,
        block: kind,
        direction: FusionDirection::Bidirectional,
        text_residual,
        class_scale: false,
    };
    BiFusion::new(&mut Initializer::new(3, &Device::flex()), &config, HIDDEN, CHANNELS, TextOutput::Required)
}

fn tokens() -> (Tensor<3>, Tensor<3>) {
    let mut noise = DropoutRng::new(5, 0);
    let device = Device::flex();
    (noise.normal([2, TEXT, HIDDEN], &device), noise.normal([2, VISION, CHANNELS], &device))
}

fn forward(kind: FusionBlockKind, text: Tensor<3>, vision: Tensor<3>) -> FusionOutput {
    let mask = Tensor::zeros([1, 1, text.dims()[1]], &Device::flex());
    new_block(kind).forward(FusionInput { text, vision, text_mask: mask })
}

fn assert_same(found: Tensor<3>, expected: Tensor<3>) {
    let difference = (found - expected).abs().max().into_scalar::<f32>();
    assert!(difference < TOLERANCE, "differs by {difference}");
}

fn order(indices: &[i64]) -> Tensor<1, Int> {
    Tensor::from_ints(indices, &Device::flex())
}

#[test]
fn permuting_vision_tokens_permutes_the_vision_output_alone() {
    let (text, vision) = tokens();
    let order = order(&[3, 1, 4, 0, 5, 9, 2, 6, 8, 7]);
    for kind in KINDS {
        let before = forward(kind, text.clone(), vision.clone());
        let after = forward(kind, text.clone(), vision.clone().select(1, order.clone()));
        assert_same(after.vision, before.vision.select(1, order.clone()));
        assert_same(after.text.unwrap(), before.text.unwrap());
    }
}

#[test]
fn permuting_text_tokens_permutes_the_text_output_alone() {
    let (text, vision) = tokens();
    let order = order(&[2, 5, 0, 1, 4, 3]);
    for kind in KINDS {
        let before = forward(kind, text.clone(), vision.clone());
        let after = forward(kind, text.clone().select(1, order.clone()), vision.clone());
        assert_same(after.vision, before.vision);
        assert_same(after.text.unwrap(), before.text.unwrap().select(1, order.clone()));
    }
}

#[test]
fn masked_text_tokens_are_never_attended_to() {
    let (text, vision) = tokens();
    let mask = Tensor::<3>::from_floats([[[0.0, 0.0, 0.0, 0.0, -1e9, -1e9]]], &Device::flex());
    for kind in KINDS {
        let short = forward(kind, text.clone().slice([0..2, 0..4, 0..HIDDEN]), vision.clone());
        let input = FusionInput { text: text.clone(), vision: vision.clone(), text_mask: mask.clone() };
        let long = new_block(kind).forward(input);
        assert_same(long.vision, short.vision);
        assert_same(long.text.unwrap().slice([0..2, 0..4, 0..HIDDEN]), short.text.unwrap());
    }
}

/// The mean cosine between two text tokens of a sample.
fn mean_cosine(text: Tensor<3>) -> f32 {
    let length = text.clone().square().sum_dim(2).sqrt();
    let unit = text / length;
    let cosines = unit.clone().matmul(unit.transpose()).sum().into_scalar::<f32>();
    let [batch, count, _] = [2, TEXT, HIDDEN];
    (cosines - (batch * count) as f32) / (batch * count * (count - 1)) as f32
}

#[test]
fn text_tokens_stay_apart_where_they_are_kept_and_become_one_where_they_are_replaced() {
    let (text, vision) = tokens();
    let mask = Tensor::zeros([1, 1, TEXT], &Device::flex());
    let after = |kind, path| {
        let input = FusionInput { text: text.clone(), vision: vision.clone(), text_mask: mask.clone() };
        mean_cosine(block_with_residual(kind, path).forward(input).text.unwrap())
    };
    let before = mean_cosine(text.clone());
    for kind in KINDS {
        let [kept, replaced] = [TextResidual::On, TextResidual::Off].map(|path| after(kind, path));
        assert!(replaced > 0.9, "{kind:?}: {before} before, {replaced} after");
        assert!(kept < f32::midpoint(before, replaced), "{kind:?}: {before} before, {kept} after");
    }
}

#[test]
fn one_way_from_text_to_vision_leaves_the_text_unchanged() {
    let (text, vision) = tokens();
    let mask = Tensor::<3>::zeros([1, 1, TEXT], &Device::flex());
    for kind in KINDS {
        let block = block_with_direction(kind, FusionDirection::TextToVision, TextOutput::Unused);
        let forward = |text: &Tensor<3>| {
            let input = FusionInput { text: text.clone(), vision: vision.clone(), text_mask: mask.clone() };
            block.forward(input)
        };
        let fused = forward(&text);
        assert!(fused.text.is_none(), "nothing replaces the text");
        assert_differs(fused.vision.clone(), forward(&text.clone().flip([2])).vision);
    }
}

#[test]
fn one_way_from_vision_to_text_leaves_the_vision_unchanged_bit_for_bit() {
    let (text, vision) = tokens();
    let mask = Tensor::<3>::zeros([1, 1, TEXT], &Device::flex());
    for kind in KINDS {
        let block = block_with_direction(kind, FusionDirection::VisionToText, TextOutput::Required);
        let forward = |vision: &Tensor<3>| {
            let input = FusionInput { text: text.clone(), vision: vision.clone(), text_mask: mask.clone() };
            block.forward(input)
        };
        let fused = forward(&vision);
        assert_eq!((fused.vision - vision.clone()).abs().max().into_scalar::<f32>(), 0.0);
        assert_differs(fused.text.unwrap(), forward(&vision.clone().flip([2])).text.unwrap());
    }
}

#[track_caller]
fn assert_differs(one: Tensor<3>, other: Tensor<3>) {
    let difference = (one - other).abs().max().into_scalar::<f32>();
    assert!(difference > TOLERANCE, "one side hears nothing of the other");
}

#[test]
fn the_block_of_the_paper_has_its_parameters() {
    let (block, direction, text_residual) =
        (FusionBlockKind::TwoWay, FusionDirection::Bidirectional, TextResidual::On);
    let config =
        FusionConfig { heads: 8, mlp_size: 2048, block, direction, text_residual, class_scale: false };
    let device = Device::flex();
    // Without projections: the text is as wide as the vision.
    let count = |channels: usize| {
        let mut init = Initializer::new(0, &device);
        BiFusion::new(&mut init, &config, channels, channels, TextOutput::Required).num_params()
    };
    assert_eq!([48, 96, 192, 384, 768].map(count), [838_328, 1_751_408, 3_826_400, 8_971_712, 23_243_648]);
    let mut init = Initializer::new(0, &device);
    let projected = BiFusion::new(&mut init, &config, 768, 96, TextOutput::Required);
    assert_eq!(projected.num_params(), 1_751_408 + 148_320);
    let last = BiFusion::new(&mut init, &config, 64, 64, TextOutput::Unused);
    assert!(state_dict(&last).keys().all(|name| !name.starts_with("text_output")));
}
