//! From the state of each prompt to masks, presence, class embedding, and the space of the alignment.

use bipvl_kernels::gelu;
use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation::relu},
};

use super::{ALIGNED_SCALE, PromptState, SCALES};
use crate::{
    BiPvlSegConfig,
    init::{DropoutRng, Initializer},
    layers::{EPSILON, LayerNorm, Linear},
};

/// Factor of a mask's dot product at first.
const INITIAL_GAIN: f32 = 4.0;
/// Bias of the finest masks at first: most voxels are outside of most prompts.
const INITIAL_BIAS: f32 = -2.0;
/// Keeps the mean over an empty mask finite.
const MASK_EPSILON: f64 = 1e-6;

/// Everything that reads the state of a prompt.
#[derive(Module, Debug)]
pub struct PromptHead {
    /// Over the states of all stages, or of the last.
    pub norm: LayerNorm,
    /// To one state of the text's width.
    pub mix: Linear,
    /// From the mean word of a prompt to its state; `None` without a bag of words.
    pub words: Option<BagOfWords>,
    /// Masks of each scale, finest first.
    pub masks: Vec<MaskHead>,
    /// Whether the patch shows what the prompt names.
    pub presence: Option<PresenceHead>,
    /// Keeps the width of the bottleneck.
    pub class_hidden: Linear,
    /// From the state to the bottleneck's channels.
    pub class_query: Linear,
    /// Mean features over a mask into the shared space.
    pub alignment_vision: Linear,
    /// Sentences into the shared space.
    pub alignment_text: Linear,
    #[module(skip)]
    state: PromptState,
    #[module(skip)]
    context_dropout: f64,
}

/// A mask as the dot product of a prompt's state with the features of one scale.
#[derive(Module, Debug)]
pub struct MaskHead {
    /// From the state to the features' channels.
    pub weight: Linear,
    /// From the state to the bias of the mask.
    pub bias: Linear,
    /// Factor of the dot product, `[1]`.
    pub gain: Param<Tensor<1>>,
}

/// The part of a state that is a sum over words, whatever their order and company.
#[derive(Module, Debug)]
pub struct BagOfWords {
    /// Over the mean word.
    pub norm: LayerNorm,
    /// To the state.
    pub linear: Linear,
}

/// Presence: what the words say, and the strongest evidence that the image has for them.
#[derive(Module, Debug)]
pub struct PresenceHead {
    /// From the state.
    pub words: Linear,
    /// Factor of the highest coarse logit, `[1]`.
    pub evidence: Param<Tensor<1>>,
}

impl PromptHead {
    /// Randomly initialized weights.
    pub fn new(init: &mut Initializer, config: &BiPvlSegConfig) -> Self {
        let hidden = config.text.hidden_size;
        let stages = match config.prompts.state {
            PromptState::Stages => config.vision.num_stages(),
            PromptState::Last => 1,
        };
        let deepest = config.vision.channels_at(config.vision.num_stages());
        let channels = |scale: usize| config.vision.decoder_channels_at(scale);
        Self {
            norm: LayerNorm::new(init, stages * hidden, EPSILON),
            mix: init.linear(stages * hidden, hidden),
            masks: (0..SCALES)
                .map(|scale| {
                    let bias = if scale == 0 { INITIAL_BIAS } else { 0.0 };
                    MaskHead::new(init, hidden, channels(scale), bias)
                })
                .collect(),
            presence: config
                .prompts
                .presence
                .then(|| PresenceHead { words: init.linear(hidden, 1), evidence: init.constant([1], 1.0) }),
            class_hidden: init.linear(deepest, deepest),
            class_query: init.linear(hidden, deepest),
            alignment_vision: init.linear(channels(ALIGNED_SCALE), config.projection_dim),
            alignment_text: init.linear(hidden, config.projection_dim),
            words: config.prompts.bag_of_words.then(|| BagOfWords {
                norm: LayerNorm::new(init, hidden, EPSILON),
                linear: init.linear(hidden, hidden),
            }),
            state: config.prompts.state,
            context_dropout: config.prompts.context_dropout,
        }
    }

    /// One state per prompt, `[B, K, H]`, of the pooled tokens after each stage, and of the mean words, each `[B, K, H]`.
    pub fn state(&self, stages: &[Tensor<3>], words: Tensor<3>, rng: Option<&mut DropoutRng>) -> Tensor<3> {
        let read = match self.state {
            PromptState::Stages => stages,
            PromptState::Last => &stages[stages.len() - 1..],
        };
        let context = gelu(self.mix.forward(self.norm.forward(Tensor::cat(read.to_vec(), 2))));
        let Some(BagOfWords { norm, linear }) = &self.words else { return context };
        let words = linear.forward(norm.forward(words));
        let context = match rng {
            Some(rng) => {
                let [batch, prompts, _] = context.dims();
                context * rng.keep([batch, prompts, 1], self.context_dropout as f32, &words.device())
            }
            None => context,
        };
        words + context
    }

    /// The presence logit of each prompt, of its state, `[B, K, H]`, and its mask at a quarter of the resolution,
    /// `[B, K, x, y, z]`; output `[B, K]`.
    pub fn presence(&self, state: Tensor<3>, coarse: Tensor<5>) -> Option<Tensor<2>> {
        let PresenceHead { words, evidence } = self.presence.as_ref()?;
        let [batch, prompts, x, y, z] = coarse.dims();
        let highest = coarse.reshape([batch, prompts, x * y * z]).max_dim(2);
        Some((words.forward(state) + highest * evidence.val().reshape([1, 1, 1])).squeeze_dim(2))
    }

    /// The class embedding of each prompt at the bottleneck.
    ///
    /// # Shapes
    ///
    /// - `bottleneck`: `[B, x, y, z, C]`
    /// - `state`: `[B, K, H]`
    /// - output: `[B, x, y, z, K]`
    pub fn class_embedding(&self, bottleneck: Tensor<5>, state: Tensor<3>) -> Tensor<5> {
        let features = relu(self.class_hidden.forward(bottleneck));
        let channels = features.dims()[4] as f64;
        dot(features, self.class_query.forward(state)) / channels.sqrt()
    }

    /// The mean feature over each mask in the shared space, `[B, K, S]`.
    ///
    /// # Shapes
    ///
    /// - `features`: `[B, x, y, z, C]`
    /// - `masks`: `[B, K, x, y, z]`
    pub fn vision_embedding(&self, features: Tensor<5>, masks: Tensor<5>) -> Tensor<3> {
        let [batch, x, y, z, channels] = features.dims();
        let [_, prompts, ..] = masks.dims();
        let masks = masks.reshape([batch, prompts, x * y * z]);
        let area = masks.clone().sum_dim(2) + MASK_EPSILON;
        let mean = masks.matmul(features.reshape([batch, x * y * z, channels])) / area;
        self.alignment_vision.forward(mean)
    }
}

impl MaskHead {
    fn new(init: &mut Initializer, hidden: usize, channels: usize, bias: f32) -> Self {
        let weight = init.linear(hidden, channels);
        let bias = Linear { weight: init.uniform([hidden, 1], hidden), bias: Some(init.constant([1], bias)) };
        Self { weight, bias, gain: init.constant([1], INITIAL_GAIN) }
    }

    /// Logits with the voxels of a mask side by side, as losses and windows read them. `shift`, where given, is added to
    /// all logits of a prompt.
    ///
    /// # Shapes
    ///
    /// - `features`: `[B, x, y, z, C]`
    /// - `state`: `[B, K, H]`
    /// - `shift`: `[B, K]`
    /// - output: logits `[B, K, x, y, z]`
    pub fn forward(&self, features: Tensor<5>, state: Tensor<3>, shift: Option<Tensor<2>>) -> Tensor<5> {
        let [batch, x, y, z, channels] = features.dims();
        let [_, prompts, _] = state.dims();
        let weight = self.weight.forward(state.clone()) / (channels as f64).sqrt();
        let weight = weight * self.gain.val().reshape([1, 1, 1]);
        let bias = self.bias.forward(state);
        let bias = match shift {
            Some(shift) => bias + shift.unsqueeze_dim::<3>(2),
            None => bias,
        };
        let logits = weight.matmul(features.reshape([batch, x * y * z, channels]).transpose()) + bias;
        logits.reshape([batch, prompts, x, y, z])
    }
}

/// `[B, x, y, z, C]` · `[B, K, C]` → `[B, x, y, z, K]`
fn dot(features: Tensor<5>, weight: Tensor<3>) -> Tensor<5> {
    let [batch, x, y, z, channels] = features.dims();
    let [_, prompts, _] = weight.dims();
    features
        .reshape([batch, x * y * z, channels])
        .matmul(weight.transpose())
        .reshape([batch, x, y, z, prompts])
}
