//! Properties of the fusion block: it has no position codes, and padding is never attended to.

use bipvl::nn::{
    bifusion::{
        BiFusion, FusionBlockKind, FusionConfig, FusionDirection, FusionInput, TextOutput, TextResidual,
        TextSelfAttention,
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
        text_self_attention: TextSelfAttention::Joint,
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
        text_self_attention: TextSelfAttention::Joint,
    };
    BiFusion::new(&mut Initializer::new(3, &Device::flex()), &config, HIDDEN, CHANNELS, TextOutput::Required)
}

fn tokens() -> (Tensor<3>, Tensor<3>) {
    let mut noise = DropoutRng::new(5, 0);
    let device = Device::flex();
    (noise.normal([2, TEXT, HIDDEN], &device), noise.normal([2, VISION, CHANNELS], &device))
}

/// Output of a block for one class.
struct Fused {
    /// `[batch, tokens, hidden]`
    text: Option<Tensor<3>>,
    /// `[batch, voxels, channels]`
    vision: Tensor<3>,
}

fn fuse(block: &BiFusion, text: Tensor<3>, vision: Tensor<3>) -> Fused {
    let mask = Tensor::zeros([1, 1, text.dims()[1]], &Device::flex());
    fuse_masked(block, text, vision, mask)
}

fn fuse_masked(block: &BiFusion, text: Tensor<3>, vision: Tensor<3>, text_mask: Tensor<3>) -> Fused {
    let [batch, voxels, channels] = vision.dims();
    let vision = vision.reshape([batch, voxels, 1, 1, channels]);
    let output = block.forward(FusionInput { vision, text, text_mask, num_classes: 1 });
    Fused { text: output.text, vision: output.vision.reshape([batch, voxels, channels]) }
}

fn forward(kind: FusionBlockKind, text: Tensor<3>, vision: Tensor<3>) -> Fused {
    fuse(&new_block(kind), text, vision)
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
        let long = fuse_masked(&new_block(kind), text.clone(), vision.clone(), mask.clone());
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
fn text_tokens_stay_distinct_with_a_residual_connection_and_become_equal_without() {
    let (text, vision) = tokens();
    let after = |kind, residual| {
        let fused = fuse(&block_with_residual(kind, residual), text.clone(), vision.clone());
        mean_cosine(fused.text.unwrap())
    };
    let before = mean_cosine(text.clone());
    for kind in KINDS {
        let [kept, replaced] = [TextResidual::On, TextResidual::Off].map(|residual| after(kind, residual));
        assert!(replaced > 0.9, "{kind:?}: {before} before, {replaced} after");
        assert!(kept < f32::midpoint(before, replaced), "{kind:?}: {before} before, {kept} after");
    }
}

#[test]
fn one_way_from_text_to_vision_leaves_the_text_unchanged() {
    let (text, vision) = tokens();
    for kind in KINDS {
        let block = block_with_direction(kind, FusionDirection::TextToVision, TextOutput::Unused);
        let forward = |text: &Tensor<3>| fuse(&block, text.clone(), vision.clone());
        let fused = forward(&text);
        assert!(fused.text.is_none(), "the text is not updated");
        assert_differs(fused.vision.clone(), forward(&text.clone().flip([2])).vision);
    }
}

#[test]
fn one_way_from_vision_to_text_leaves_the_vision_unchanged_bit_for_bit() {
    let (text, vision) = tokens();
    for kind in KINDS {
        let block = block_with_direction(kind, FusionDirection::VisionToText, TextOutput::Required);
        let forward = |vision: &Tensor<3>| fuse(&block, text.clone(), vision.clone());
        let fused = forward(&vision);
        assert_eq!((fused.vision - vision.clone()).abs().max().into_scalar::<f32>(), 0.0);
        assert_differs(fused.text.unwrap(), forward(&vision.clone().flip([2])).text.unwrap());
    }
}

#[test]
fn the_tokens_of_all_classes_of_a_sample_are_fused_together() {
    let (text, vision) = tokens();
    for kind in KINDS {
        let block = new_block(kind);
        let joined = fuse(&block, text.clone(), vision.clone());
        // Two classes of three tokens are one text of six.
        let text = text.clone().reshape([4, TEXT / 2, HIDDEN]);
        let vision = vision.clone().reshape([2, 5, 2, 1, CHANNELS]);
        let text_mask = Tensor::zeros([2, 1, TEXT / 2], &Device::flex());
        let apart = block.forward(FusionInput { vision, text, text_mask, num_classes: 2 });
        assert_eq!(apart.vision.dims(), [2, 5, 2, 1, CHANNELS]);
        assert_same(apart.vision.reshape([2, VISION, CHANNELS]), joined.vision);
        assert_same(apart.text.unwrap().reshape([2, TEXT, HIDDEN]), joined.text.unwrap());
    }
}

#[track_caller]
fn assert_differs(one: Tensor<3>, other: Tensor<3>) {
    let difference = (one - other).abs().max().into_scalar::<f32>();
    assert!(difference > TOLERANCE, "the output does not depend on the other modality");
}

#[test]
fn the_block_of_the_paper_has_its_parameters() {
    let (block, direction, text_residual) =
        (FusionBlockKind::TwoWay, FusionDirection::Bidirectional, TextResidual::On);
    let config = FusionConfig {
        heads: 8,
        mlp_size: 2048,
        block,
        direction,
        text_residual,
        class_scale: false,
        text_self_attention: TextSelfAttention::Joint,
    };
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
