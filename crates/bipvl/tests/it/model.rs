//! The whole network: sizes, shapes, batches, gradients.

use bipvl::{
    data::LabelSchema,
    nn::{
        BackboneConfig, BiPvlSeg, BiPvlSegConfig, BottleneckInput, HeadConfig, ModelSize, SwinUnetrConfig,
        SwinVersion, TextInput, VisionSeg,
        bifusion::{BiFusion, FusionBlockKind, FusionDirection, TextOutput, TextResidual},
        heads::{AlignmentHeads, ClassEmbeddingHead, SegmentationHead},
        init::{DropoutRng, Initializer},
        text_encoder::{TextConfig, TextEncoder},
        weights::{load_state_dict, state_dict},
    },
    text::{ClassText, TokenizedTexts},
    train::loss::{AlignmentLoss, LossConfig, LossTerms, LossWeighting, LossWeights},
};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};
use ndarray::Array2;

/// The whole network in float32, in another order of summation.
const TOLERANCE: f32 = 1e-4;
const CLASSES: usize = 3;
const CHANNELS: HeadConfig = HeadConfig { num_classes: CLASSES, out_channels: CLASSES + 1 };

/// A network narrow enough for a test.
pub(crate) fn narrow() -> BiPvlSegConfig {
    let mut config = ModelSize::Tiny.config(1);
    let vision = swin_unetr(&mut config);
    vision.feature_size = 8;
    vision.heads = [1, 2, 4, 8];
    vision.window_size = 3;
    config.text.vocab_size = 20;
    config.text.hidden_size = 16;
    config.text.num_attention_heads = 2;
    config.text.intermediate_size = 32;
    config.text.stage_layers = vec![2, 1, 1, 1];
    config.fusion.heads = 2;
    config.fusion.mlp_size = 16;
    config.projection_dim = 8;
    config
}

/// The sizes of the backbone.
pub(crate) fn swin_unetr(config: &mut BiPvlSegConfig) -> &mut SwinUnetrConfig {
    let BackboneConfig::SwinUnetr(config) = &mut config.vision;
    config
}

pub(crate) fn text(device: &Device) -> TextInput {
    TextInput::new(&class_text(9), device)
}

/// The texts of three classes, of so many tokens; two lengths share no text.
pub(crate) fn class_text(length: usize) -> ClassText {
    let tokens = |texts: usize, length: usize| TokenizedTexts {
        input_ids: Array2::from_shape_fn((texts, length), |(text, at)| {
            ((text * 7 + at * 3 + length) % 20) as i64
        }),
        attention_mask: Array2::from_shape_fn((texts, length), |(text, at)| at + text % 2 < length),
    };
    let (prompts, sentences) = (tokens(CLASSES, length), tokens(CLASSES * 4, length - 4));
    ClassText { prompts, sentences, sentences_per_class: 4, num_texts: 1 }
}

fn model(device: &Device, patch: [usize; 3]) -> BiPvlSeg {
    narrow().init(CHANNELS, patch, &mut Initializer::new(1, device))
}

fn image(shape: [usize; 5], device: &Device) -> Tensor<5> {
    DropoutRng::new(2, 0).normal(shape, device)
}

#[test]
fn parameter_counts_are_those_of_the_published_network() {
    let mut config = ModelSize::Paper.config(1);
    let device = Device::flex();
    let init = &mut Initializer::new(0, &device);
    let decoder =
        config.vision.init_decoder(init).num_params() + SegmentationHead::new(init, 48, 16).num_params();
    let version_2 = config.vision.init_encoder(init).num_params();
    swin_unetr(&mut config).version = SwinVersion::V1;
    let version_1 = config.vision.init_encoder(init).num_params();
    assert_eq!(version_2, 432 + 18_636_930);
    assert_eq!(version_2 - version_1, 10_575_360);
    assert_eq!(decoder, 34_526_784 + 19_597_824 + 784);
    assert_eq!(version_2 + decoder, 72_762_754);
    assert_eq!(ClassEmbeddingHead::new(init, 768, 16).num_params(), 602_896);
    assert_eq!(AlignmentHeads::new(init, 27, 768, 128).num_params(), 3_584 + 98_432);
}

#[test]
fn a_layer_of_the_text_encoder_has_the_parameters_of_bert_base() {
    let one_each =
        TextConfig { vocab_size: 100, stage_layers: vec![1, 0, 0, 0], ..ModelSize::Paper.config(1).text };
    let encoder = TextEncoder::new(&mut Initializer::new(0, &Device::flex()), &one_each);
    let embeddings = (100 + 512 + 2 + 2) * 768;
    assert_eq!(encoder.num_params(), embeddings + 7_087_872);
}

#[test]
fn any_patch_in_multiples_of_32_gives_logits_of_its_shape() {
    let device = Device::flex();
    for patch in [[32, 32, 32], [64, 32, 96]] {
        let [x, y, z] = patch;
        let output = model(&device, patch).forward(image([2, 1, x, y, z], &device), &text(&device), None);
        assert_eq!(output.logits.dims(), [2, CLASSES + 1, x, y, z]);
        assert_eq!(output.class_embedding.dims(), [2, CLASSES + 1, x / 32, y / 32, z / 32]);
        assert_eq!(output.vision_embedding.dims(), [2, CLASSES, 8]);
        assert_eq!(output.concept_embedding.unwrap().dims(), [1, CLASSES, 4, 8]);
    }
}

#[test]
fn a_batch_gives_what_its_samples_give_one_by_one() {
    let device = Device::flex();
    let (model, text) = (model(&device, [32; 3]), text(&device));
    let both = image([2, 1, 32, 32, 32], &device);
    let together = model.forward(both.clone(), &text, None).logits;
    for sample in 0..2 {
        let one = both.clone().slice([sample..sample + 1, 0..1, 0..32, 0..32, 0..32]);
        let alone = model.forward(one, &text, None).logits;
        let in_batch = together.clone().slice([sample..sample + 1, 0..CLASSES + 1, 0..32, 0..32, 0..32]);
        let difference = (alone - in_batch).abs().max().into_scalar::<f32>();
        assert!(difference < TOLERANCE, "sample {sample} differs by {difference}");
    }
}

#[test]
fn segmenting_gives_the_logits_of_the_whole_forward_pass_bit_for_bit() {
    let device = Device::flex();
    let (model, text) = (model(&device, [32; 3]), text(&device));
    let image = image([1, 1, 32, 32, 32], &device);
    let whole = model.forward(image.clone(), &text, None).logits;
    let alone = model.segment(image, &model.encode_text(&text, None));
    assert_same_bits(whole, alone);
}

#[track_caller]
fn assert_same_bits(one: Tensor<5>, other: Tensor<5>) {
    assert_eq!((one - other).abs().max().into_scalar::<f32>(), 0.0);
}

const KINDS: [FusionBlockKind; 2] = [FusionBlockKind::TwoWay, FusionBlockKind::PreNorm];

/// The narrow network with another direction and block of fusion.
fn with_direction(direction: FusionDirection, block: FusionBlockKind) -> BiPvlSegConfig {
    let mut config = narrow();
    config.fusion.direction = direction;
    config.fusion.block = block;
    config
}

#[test]
fn without_text_to_vision_fusion_the_image_is_segmented_as_by_the_backbone_alone_bit_for_bit() {
    let device = Device::flex();
    let (text, image) = (text(&device), image([2, 1, 32, 32, 32], &device));
    let file = std::path::Path::new("some.safetensors");
    for (direction, block) in [FusionDirection::None, FusionDirection::VisionToText].into_iter().zip(KINDS) {
        let model =
            with_direction(direction, block).init(CHANNELS, [32; 3], &mut Initializer::new(1, &device));
        let alone = VisionSeg::new(&mut Initializer::new(2, &device), &narrow().vision, CLASSES + 1);
        let is_vision =
            |name: &String| ["backbone.", "segmentation."].iter().any(|start| name.starts_with(start));
        let vision = state_dict(&model).into_iter().filter(|(name, _)| is_vision(name)).collect();
        let expected = load_state_dict(alone, vision, file).unwrap().forward(image.clone());
        assert_same_bits(model.forward(image.clone(), &text, None).logits, expected.clone());
        assert_same_bits(model.segment(image.clone(), &model.encode_text(&text, None)), expected);
    }
}

#[test]
fn the_logits_depend_on_the_text_alike_in_training_and_prediction_wherever_the_image_is_updated() {
    let device = Device::flex();
    let image = image([2, 1, 32, 32, 32], &device);
    let (mut other, text) = (text(&device), text(&device));
    other.prompts.input_ids = other.prompts.input_ids.flip([0]);
    for direction in
        [FusionDirection::TextToVision, FusionDirection::LateOnly, FusionDirection::Bidirectional]
    {
        let config = with_direction(direction, FusionBlockKind::TwoWay);
        let model = config.init(CHANNELS, [32; 3], &mut Initializer::new(1, &device));
        let whole = model.forward(image.clone(), &text, None);
        assert!(whole.fused_text_embedding.is_none());
        assert_same_bits(whole.logits.clone(), model.segment(image.clone(), &model.encode_text(&text, None)));
        let of_other = model.segment(image.clone(), &model.encode_text(&other, None));
        let difference = (whole.logits - of_other).abs().max().into_scalar::<f32>();
        assert!(difference > 0.0, "{direction:?} does not depend on the text");
    }
}

#[test]
fn a_text_that_no_image_updates_is_encoded_once() {
    let device = Device::flex();
    for (direction, blocks) in
        [(FusionDirection::None, 0), (FusionDirection::LateOnly, 1), (FusionDirection::TextToVision, 4)]
    {
        let config = with_direction(direction, FusionBlockKind::TwoWay);
        let mut model = config.init(CHANNELS, [32; 3], &mut Initializer::new(1, &device));
        assert_eq!(model.fusions.len(), blocks);
        let encoded = model.encode_text(&text(&device), None);
        let image = image([1, 1, 32, 32, 32], &device);
        let before = model.segment(image.clone(), &encoded);
        // No layer of the text encoder runs any more.
        model.text_encoder.stages.clear();
        assert_same_bits(model.segment(image, &encoded), before);
    }
}

/// Names the tensors that receive no gradient.
struct WithoutGradient<'a> {
    gradients: &'a burn::tensor::Gradients,
    path: Vec<String>,
    found: Vec<String>,
}
impl burn::module::ModuleVisitor for WithoutGradient<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        if param.val().grad(self.gradients).is_none() {
            self.found.push(self.path.join("."));
        }
    }
}

/// Names of the tensors that a backward pass from these losses does not reach.
fn without_gradient(config: &BiPvlSegConfig, label_schema: &LabelSchema, loss: LossConfig) -> Vec<String> {
    let device = Device::flex().autodiff();
    let patch = [64, 32, 32];
    let channels = HeadConfig { num_classes: CLASSES, out_channels: label_schema.num_logit_channels() };
    let model = config.init(channels, patch, &mut Initializer::new(1, &device));
    let text = text(&device);
    let weights = LossWeights::new(&Initializer::new(0, &device));
    let labels = Tensor::<1, Int>::arange(0..64 * 32 * 32, &device).div_scalar(7).remainder_scalar(4);
    let output = model.forward(image([1, 1, 64, 32, 32], &device), &text, None);
    let losses = LossTerms::compute(&output, labels.reshape([1, 64, 32, 32]), label_schema, &loss, None);
    let gradients = weights.total(&losses, LossWeighting::OfficialCode).backward();

    let mut visitor = WithoutGradient { gradients: &gradients, path: Vec::new(), found: Vec::new() };
    model.visit(&mut visitor);
    weights.visit(&mut visitor);
    visitor.found
}

fn expect_that_every_tensor_learns(config: &BiPvlSegConfig) {
    assert_eq!(without_gradient(config, &exclusive(), LossConfig::default()), Vec::<String>::new());
}

/// Each class is one label.
fn exclusive() -> LabelSchema {
    LabelSchema::from_labels(&[1, 2, 3]).unwrap()
}

#[test]
fn every_tensor_learns_from_regions() {
    let nested = crate::drawn::overlapping(&[&[1, 2, 3], &[2, 3], &[3]]);
    // Codes are those of the classes, of which there are as many as channels here.
    let mut config = narrow();
    config.fusion.class_scale = true;
    assert_eq!(without_gradient(&config, &nested, LossConfig::default()), Vec::<String>::new());
}

#[test]
fn every_tensor_learns() {
    expect_that_every_tensor_learns(&narrow());
    let mut turned = BiPvlSegConfig { bottleneck: BottleneckInput::BeforeFusion, ..narrow() };
    turned.fusion.block = FusionBlockKind::PreNorm;
    turned.fusion.text_residual = TextResidual::On;
    expect_that_every_tensor_learns(&turned);
}

#[test]
fn every_tensor_learns_whatever_the_direction_of_fusion() {
    for direction in [FusionDirection::None, FusionDirection::LateOnly] {
        expect_that_every_tensor_learns(&with_direction(direction, FusionBlockKind::TwoWay));
    }
    for block in KINDS {
        expect_that_every_tensor_learns(&with_direction(FusionDirection::VisionToText, block));
        expect_that_every_tensor_learns(&with_direction(FusionDirection::TextToVision, block));
    }
}

#[test]
fn without_alignment_its_heads_get_no_gradient_and_all_else_does() {
    let none = LossConfig { alignment: AlignmentLoss::None, ..LossConfig::default() };
    let heads = ["vision.weight", "vision.bias", "text.weight", "text.bias"];
    let heads = heads.map(|name| format!("alignment.{name}"));
    assert_eq!(without_gradient(&narrow(), &exclusive(), none), heads);
}

#[test]
fn without_sentences_nothing_is_aligned_and_the_logits_stay() {
    let device = Device::flex();
    let (model, text) = (model(&device, [32; 3]), text(&device));
    let image = image([1, 1, 32, 32, 32], &device);
    let with = model.forward(image.clone(), &text, None);
    let without = model.forward(image, &text.without_sentences(), None);
    assert!(without.concept_embedding.is_none());
    assert_same_bits(with.logits, without.logits);
}

/// The order in which modules draw their weights from one generator.
#[test]
fn a_seed_gives_the_weights_of_modules_drawn_in_the_documented_order() {
    let device = Device::flex();
    let mut config = narrow();
    config.deep_supervision_levels = 1;
    config.fusion.class_scale = true;
    let model = config.init(CHANNELS, [32; 3], &mut Initializer::new(7, &device));
    let init = &mut Initializer::new(7, &device);
    for (stage, fusion) in model.fusions.iter().enumerate() {
        let output = if stage < 3 { TextOutput::Required } else { TextOutput::Unused };
        let channels = config.vision.channels_at(stage + 1);
        let drawn = BiFusion::new(init, &config.fusion, config.text.hidden_size, channels, output);
        assert_eq!(state_dict(fusion), state_dict(&drawn));
    }
    assert_eq!(state_dict(&model.backbone.encoder), state_dict(&config.vision.init_encoder(init)));
    assert_eq!(state_dict(&model.text_encoder), state_dict(&TextEncoder::new(init, &config.text)));
    assert_eq!(state_dict(&model.backbone.decoder), state_dict(&config.vision.init_decoder(init)));
    let logits = SegmentationHead::new(init, 8, CLASSES + 1).logits;
    assert_eq!(state_dict(&model.segmentation.logits), state_dict(&logits));
    let class_embedding = ClassEmbeddingHead::new(init, 128, CLASSES + 1);
    assert_eq!(state_dict(&model.class_embedding), state_dict(&class_embedding));
    assert_eq!(state_dict(&model.alignment), state_dict(&AlignmentHeads::new(init, 1, 16, 8)));
    assert_eq!(state_dict(&model.segmentation.aux_logits), state_dict(&vec![init.linear(8, CLASSES + 1)]));
    assert_eq!(
        model.class_scale.unwrap().scale.val().into_data(),
        init.normal([CLASSES, 16], 1.0).val().into_data()
    );
}

#[test]
fn values_that_do_not_fit_together_are_refused_by_their_key() {
    let refused = |change: fn(&mut BiPvlSegConfig)| {
        let mut config = narrow();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    narrow().validate().unwrap();
    let heads = refused(|config| swin_unetr(config).heads = [1, 3, 4, 8]);
    assert_eq!(heads, "`vision.heads in stage 2` is 3, must be a divisor of 16");
    let stages = refused(|config| config.text.stage_layers = vec![2, 1, 1]);
    assert_eq!(stages, "`text.stage_layers` is [2, 1, 1], must be one number per stage of the backbone, 4");
    assert_eq!(
        refused(|config| config.deep_supervision_levels = 5),
        "`deep_supervision_levels` is 5, must be 0 to 4"
    );
    assert_eq!(refused(|config| config.fusion.heads = 3), "`fusion.heads` is 3, must be a divisor of 8");
}

#[test]
fn weights_go_into_a_module_by_name_and_come_out_again() {
    let device = Device::flex();
    let file = std::path::Path::new("some.safetensors");
    let first = model(&device, [32; 3]);
    let other = narrow().init(CHANNELS, [32; 3], &mut Initializer::new(2, &device));
    let named = state_dict(&first);
    assert_ne!(named, state_dict(&other));
    let filled = load_state_dict(other, named.clone(), file).unwrap();
    assert_eq!(named, state_dict(&filled));

    let mut missing = named.clone();
    missing.remove("segmentation.logits.bias");
    let error = load_state_dict(filled.clone(), missing, file).unwrap_err().to_string();
    assert_eq!(error, "some.safetensors: missing tensor `segmentation.logits.bias`");
    let wider = narrow().init(HeadConfig::exclusive(CLASSES + 1), [32; 3], &mut Initializer::new(2, &device));
    let error = load_state_dict(wider, named, file).unwrap_err().to_string();
    assert!(
        error.contains("tensor `class_embedding.output.bias` has shape [4], the model needs [5]"),
        "{error}"
    );
}

#[test]
fn a_configuration_without_the_switches_means_their_defaults() {
    let config = narrow();
    let written = toml::to_string(&config).unwrap();
    let switches = ["bottleneck", "block", "direction", "text_residual"];
    let lines = written.lines().filter(|line| !switches.iter().any(|switch| line.starts_with(switch)));
    let older = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(older.lines().count(), written.lines().count() - switches.len());
    assert_eq!(toml::from_str::<BiPvlSegConfig>(&older).unwrap(), config);
    let turned = written
        .replace("after_fusion", "before_fusion")
        .replace("two_way", "pre_norm")
        .replace("\"off\"", "\"on\"");
    let turned: BiPvlSegConfig = toml::from_str(&turned).unwrap();
    assert_eq!(
        (turned.bottleneck, turned.fusion.block),
        (BottleneckInput::BeforeFusion, FusionBlockKind::PreNorm)
    );
    assert_eq!(turned.fusion.text_residual, TextResidual::On);
}
