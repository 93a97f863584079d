//! Five updates of the whole network against PyTorch, MONAI and Hugging Face's BERT: losses and weights.

use std::path::Path;

use bipvl::{
    data::LabelSchema,
    nn::{
        BackboneConfig, BiPvlSegConfig, BottleneckInput, HeadConfig, HeadKind, PatchMerging, SwinUnetrConfig,
        SwinVersion, TextConfig, TextInput,
        bifusion::{FusionBlockKind, FusionConfig, FusionDirection, TextResidual, TextSelfAttention},
        init::Initializer,
        interop::{KeyMapping, LayoutConversion, export, full_key_map, import},
        prompts::PromptHeadConfig,
        text_encoder::TokenBatch,
        weights::{HostTensor, StateDict, TensorHandle, load_state_dict, state_dict},
    },
    text::TokenizedTexts,
    train::{
        TrainModule,
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::Array2;

use crate::{
    formula::{filled, uniform},
    reference::{made, name_in_python, reference},
};

const BATCH: usize = 2;
const PATCH: [usize; 3] = [64, 64, 32];
const CLASSES: usize = 5;
const CONCEPTS: usize = 2;
const STAGE_LAYERS: [usize; 4] = [2, 1, 1, 1];
const FULL_LENGTHS: [usize; CLASSES] = [7, 5, 6, 7, 4];
const CONCEPT_LENGTHS: [usize; CLASSES * CONCEPTS] = [3, 4, 4, 2, 3, 4, 2, 3, 4, 4];
const STEPS: usize = 5;
const LEARNING_RATE: f64 = 1e-3;
/// Large enough that a gradient which is nothing but rounding moves nothing.
const EPSILON: f64 = 1e-4;
/// Between the samples of a tensor, wrapping around.
const STRIDE: usize = 7919;
/// The first losses come from equal weights, in float32 here and float64 there.
const FIRST_TOLERANCE: f32 = 1e-5;
/// Five updates carry rounding through divisions by small moments; each moves a weight by at most 1e-3.
const TOLERANCE: f32 = 1e-3;

fn config() -> BiPvlSegConfig {
    BiPvlSegConfig {
        head: HeadKind::Channels,
        vision: BackboneConfig::SwinUnetr(SwinUnetrConfig {
            in_channels: 1,
            feature_size: 12,
            depths: [2; 4],
            heads: [3, 6, 12, 24],
            window_size: 7,
            version: SwinVersion::V2,
            merging: PatchMerging::V2,
        }),
        text: TextConfig {
            vocab_size: 50,
            hidden_size: 24,
            num_attention_heads: 4,
            intermediate_size: 48,
            max_position_embeddings: 16,
            stage_layers: STAGE_LAYERS.to_vec(),
            hidden_dropout_prob: 0.0,
            layer_norm_eps: 1e-12,
        },
        fusion: FusionConfig {
            heads: 4,
            mlp_size: 32,
            block: FusionBlockKind::TwoWay,
            direction: FusionDirection::Bidirectional,
            text_residual: TextResidual::Off,
            class_scale: false,
            text_self_attention: TextSelfAttention::Joint,
        },
        bottleneck: BottleneckInput::AfterFusion,
        projection_dim: 16,
        deep_supervision_levels: 0,
        prompts: PromptHeadConfig::default(),
    }
}

/// Every parameter under both names; those of our own modules have the names of the Python script.
fn key_map(ours: &StateDict) -> Vec<KeyMapping> {
    let within_model = |key: KeyMapping| KeyMapping { internal: format!("model.{}", key.internal), ..key };
    let mut names: Vec<KeyMapping> = full_key_map(&config()).into_iter().map(within_model).collect();
    for (name, tensor) in ours {
        if names.iter().any(|published| published.internal == *name) {
            continue;
        }
        let external = name.strip_prefix("model.").unwrap_or(name);
        let external = name_in_python(external).replace(".gamma", ".weight").replace(".beta", ".bias");
        let conversion =
            if tensor.shape.len() == 2 { LayoutConversion::Linear } else { LayoutConversion::AsIs };
        names.push(KeyMapping { external, internal: name.clone(), conversion });
    }
    names
}

/// The network and its loss weights, filled as the twin fills them.
fn module(device: &Device) -> TrainModule {
    let mut init = Initializer::zeros(device);
    let model = config().init(HeadConfig::exclusive(CLASSES), PATCH, &mut init);
    let module = TrainModule { model, loss_weights: LossWeights::new(&init) };
    let ours = state_dict(&module);
    let names = key_map(&ours);
    let fill = |(name, tensor): (String, HostTensor)| (name.clone(), filled(&name, &tensor.shape));
    let external = export(&names, ours.clone()).into_iter().map(fill).collect();
    let file = Path::new("formula");
    let (weights, report) = import(&names, external, &ours, file).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report:?}");
    load_state_dict(module, weights, file).unwrap()
}

fn tokens(name: &str, lengths: &[usize], device: &Device) -> TokenBatch {
    let length = lengths.iter().copied().max().unwrap();
    let drawn = uniform(name, &[lengths.len(), length], 1.0).values;
    let real = |(text, at): (usize, usize)| at < lengths[text];
    let id = |(text, at)| {
        let drawn = f32::midpoint(drawn[text * length + at], 1.0) * config().text.vocab_size as f32;
        if real((text, at)) { drawn as i64 } else { 0 }
    };
    let shape = (lengths.len(), length);
    let tokens = TokenizedTexts {
        input_ids: Array2::from_shape_fn(shape, id),
        attention_mask: Array2::from_shape_fn(shape, real),
    };
    TokenBatch::new(&tokens, device)
}

/// Blocks of 8 voxels in each direction have one label, and the image is brighter where it is higher.
fn image_and_labels(device: &Device) -> (Tensor<5>, Tensor<4, Int>) {
    let [x, y, z] = PATCH;
    let mut labels = Vec::new();
    for voxel in 0..BATCH * x * y * z {
        let (sample, at) = (voxel / (x * y * z), [voxel / (y * z) % x, voxel / z % y, voxel % z]);
        let block = at[0] / 8 + 2 * (at[1] / 8) + 3 * (at[2] / 8);
        labels.push(((block + sample) % (CLASSES + 1)) as i64);
    }
    let labels = Tensor::<4, Int>::from_data(TensorData::new(labels, [BATCH, x, y, z]), device);
    let brightness = labels.clone().float().unsqueeze_dim::<5>(1) / CLASSES as f64;
    (made("image", [BATCH, 1, x, y, z], device) + brightness, labels)
}

#[test]
fn five_updates_of_the_whole_network_give_the_losses_and_weights_of_pytorch() {
    assert_as_pytorch(&Device::flex().autodiff());
}

/// Where every kernel falls back on Burn's operations.
#[test]
#[cfg(feature = "vulkan")]
fn five_updates_give_the_same_on_a_graphics_card() {
    assert_as_pytorch(&bipvl::device::DeviceKind::Vulkan.open().unwrap().autodiff());
}

fn assert_as_pytorch(device: &Device) {
    let reference = reference("training_step");
    let text = TextInput {
        prompts: tokens("full", &FULL_LENGTHS, device),
        sentences: Some(tokens("concepts", &CONCEPT_LENGTHS, device)),
        sentences_per_class: CONCEPTS,
        num_texts: 1,
    };
    let (image, labels) = image_and_labels(device);
    let mut module = module(device);
    let mut optimizer = AdamW::new(AdamWConfig { epsilon: EPSILON, ..AdamWConfig::default() });
    let config = LossConfig::default();
    let label_schema = LabelSchema::from_labels(&(1..=CLASSES as u16).collect::<Vec<_>>()).unwrap();
    for step in 1..=STEPS {
        let output = module.model.forward(image.clone(), &text, None);
        let losses = LossTerms::compute(&output, labels.clone(), &label_schema, &config, None);
        let total = module.loss_weights.total(&losses, config.weighting);
        let LossTerms { segmentation, class_embedding, alignment } = losses;
        let all = vec![segmentation, class_embedding, alignment.unwrap(), total.clone()];
        let found = TensorHandle::new(Tensor::cat(all, 0)).read();
        let bound = if step == 1 { FIRST_TOLERANCE } else { TOLERANCE };
        for (found, expected) in found.values.iter().zip(&reference[&format!("losses.{step}")].values) {
            let difference = (found - expected).abs();
            assert!(difference < bound, "losses of step {step}: expected {expected}, found {found}");
        }
        module = optimizer.step(module, total.backward(), LEARNING_RATE);
    }
    let ours = state_dict(&module);
    for (name, tensor) in export(&key_map(&ours), ours) {
        // The sum of squares, then samples.
        let expected = &reference[&format!("weights.{name}")].values;
        let count = tensor.values.len();
        for (sample, expected) in expected[1..].iter().enumerate() {
            let found = tensor.values[sample * STRIDE % count];
            assert!((found - expected).abs() < TOLERANCE, "{name}: expected {expected}, found {found}");
        }
    }
}
