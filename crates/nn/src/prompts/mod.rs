//! The prompted form of the network: each mask is decided by the tokens of its prompt.
//!
//! As in the form of the paper, image and text are fused in both directions after every stage. Four things differ:
//! text self-attention stays within a prompt, the text leaves the last block too, masks are dot products of a prompt's
//! state with the decoder's features at every scale, and a presence logit may lower a mask. Prompts interact only
//! where the image attends to the text, so their order and padding change nothing, and their number is free.
//!
//! B is the batch, K the prompts of a sample, L the tokens of a prompt, H the width of the text, `C_s` and `V_s` channels
//! and voxels of the decoder at scale s.

mod cost;
mod head;

use burn::{
    module::Module,
    tensor::{Int, Tensor, activation::log_sigmoid},
};
use serde::{Deserialize, Serialize};

pub use head::{BagOfWords, MaskHead, PresenceHead, PromptHead};

use crate::{
    BiPvlSegConfig,
    backbone::{Backbone, DecoderInput},
    bifusion::{BiFusion, FusionDirection, FusionInput, TextOutput},
    init::{DropoutRng, Initializer},
    layers::normalize,
    model::{channels_first, channels_last},
    text_encoder::{TextEncoder, TextPooling, TokenBatch},
};

/// The parts of the prompted head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptHeadConfig {
    /// What the state of a prompt is made of.
    pub state: PromptState,
    /// What the state of a prompt and of a sentence is read from.
    pub pooling: TextPooling,
    /// Whether a presence logit may lower all logits of a prompt.
    pub presence: bool,
    /// Whether the image has three more channels, the coordinates in the scan: a patch alone does not say on which side
    /// of the body it lies.
    pub coordinates: bool,
    /// Whether the mean of a prompt's word embeddings is added to its state. Masks are linear in the state, so a mask is a
    /// sum over words, and words that were never combined in training can be.
    pub bag_of_words: bool,
    /// How often a prompt in training has its words alone for a state, so that they suffice; from 0 to below 1.
    pub context_dropout: f64,
}

impl Default for PromptHeadConfig {
    fn default() -> Self {
        Self {
            state: PromptState::Stages,
            pooling: TextPooling::Mean,
            presence: true,
            coordinates: true,
            bag_of_words: true,
            context_dropout: 0.5,
        }
    }
}

impl PromptHeadConfig {
    /// Whether nothing differs from the defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the state of a prompt is made of: its pooled tokens after fusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptState {
    /// After every stage, concatenated: each stage gives the text a gradient of its own (as Hermes).
    #[default]
    Stages,
    /// After the last stage alone.
    Last,
}

/// Prompts after the first text stage, which no image changes: once per text, not per patch.
#[derive(Clone, Debug)]
pub struct EncodedPrompts {
    /// `[B · K, L, H]`, or `[K, L, H]` for prompts that all samples share.
    pub tokens: Tensor<3>,
    /// Added to each token as a key, 0 or very negative, `[B · K, 1, L]` or `[K, 1, L]`.
    pub mask: Tensor<3>,
    /// The mean of each prompt's word embeddings, `[B · K, H]` or `[K, H]`.
    pub words: Tensor<2>,
    /// K.
    pub num_prompts: usize,
}

/// The sentences that the prompts of a batch are aligned by, each encoded once.
#[derive(Clone, Debug)]
pub struct SentenceInput {
    /// Different sentences, `[U, L]`.
    pub tokens: TokenBatch,
    /// The sentence in each place, `[B · K · M]`; any for padding.
    pub index: Tensor<1, Int>,
    /// 0 for a sentence, very negative for padding, `[B · K, M]`.
    pub mask: Tensor<2>,
}

/// Sentences in the shared space.
#[derive(Clone, Debug)]
pub struct SentenceOutput {
    /// `[B · K, M, S]`
    pub embedding: Tensor<3>,
    /// As in [`SentenceInput::mask`].
    pub mask: Tensor<2>,
}

/// What the losses read.
#[derive(Clone, Debug)]
pub struct PromptOutput {
    /// Before presence, `[B, K, x, y, z]`.
    pub logits: Tensor<5>,
    /// Logits of coarser scales, finest first, `[B, K, x/2ˢ, y/2ˢ, z/2ˢ]`.
    pub aux_logits: Vec<Tensor<5>>,
    /// `[B, K, x/32, y/32, z/32]`
    pub class_embedding: Tensor<5>,
    /// `[B, K]`
    pub presence: Option<Tensor<2>>,
    /// The mean feature over each reference mask in the shared space, `[B, K, S]`.
    pub vision_embedding: Tensor<3>,
    /// `None` where nothing is aligned.
    pub sentences: Option<SentenceOutput>,
}

/// What the encoders and the decoder make of an image and its prompts.
struct Features {
    /// The decoder's maps, finest first, `[B, x/2ˢ, y/2ˢ, z/2ˢ, C_s]`.
    scales: Vec<Tensor<5>>,
    /// `[B, x/32, y/32, z/32, 16 · feature_size]`
    bottleneck: Tensor<5>,
    /// Pooled tokens after each stage, `[B, K, H]`.
    states: Vec<Tensor<3>>,
}

/// Scales of the decoder at which masks are supervised: 1, ½, ¼, ⅛.
const SCALES: usize = 4;
/// Channels of the coordinates, one per axis.
pub const COORDINATE_CHANNELS: usize = 3;
/// The scale whose masks are the evidence for presence, ¼: fine enough for small organs, and a sixty-fourth of the voxels.
pub(crate) const PRESENCE_SCALE: usize = 2;
/// The scale at which an image is aligned with a prompt, ¼.
const ALIGNED_SCALE: usize = 2;

/// The prompted network.
#[derive(Module, Debug)]
pub struct PromptSeg {
    /// Image encoder and decoder.
    pub backbone: Backbone,
    /// BERT stages.
    pub text_encoder: TextEncoder,
    /// One block per fused stage.
    pub fusions: Vec<BiFusion>,
    /// From prompt states to masks, presence, class embedding and the shared space.
    pub head: PromptHead,
    #[module(skip)]
    direction: FusionDirection,
    #[module(skip)]
    pooling: TextPooling,
    #[module(skip)]
    coordinates: bool,
}

impl PromptSeg {
    /// Randomly initialized weights.
    pub fn new(init: &mut Initializer, config: &BiPvlSegConfig) -> Self {
        let hidden = config.text.hidden_size;
        let more = if config.prompts.coordinates { COORDINATE_CHANNELS } else { 0 };
        let vision = config.vision.clone().with_more_channels(more);
        let num_stages = config.vision.num_stages();
        let direction = config.fusion.direction;
        let stages = match direction {
            FusionDirection::None => 0..0,
            FusionDirection::LateOnly => num_stages..num_stages + 1,
            _ => 1..num_stages + 1,
        };
        let output = if direction.updates_text() { TextOutput::Required } else { TextOutput::Unused };
        let fusions = stages
            .map(|stage| {
                BiFusion::new(init, &config.fusion, hidden, config.vision.channels_at(stage), output)
            })
            .collect();
        Self {
            backbone: Backbone { encoder: vision.init_encoder(init), decoder: vision.init_decoder(init) },
            text_encoder: TextEncoder::new(init, &config.text),
            fusions,
            head: PromptHead::new(init, config),
            direction,
            pooling: config.prompts.pooling,
            coordinates: config.prompts.coordinates,
        }
    }

    /// Logits and everything else that the losses read.
    ///
    /// # Shapes
    ///
    /// - `image`: `[B, channels, x, y, z]`, sides multiples of 32; the last three channels are
    ///   [coordinates](PromptHeadConfig::coordinates) where the network reads them
    /// - `prompts`: of `[B · K]` texts
    /// - `masks`: the reference at a quarter of the resolution, `[B, K, x/4, y/4, z/4]`
    pub fn forward(
        &self,
        image: Tensor<5>,
        prompts: &EncodedPrompts,
        masks: Tensor<5>,
        sentences: Option<&SentenceInput>,
        mut rng: Option<&mut DropoutRng>,
    ) -> PromptOutput {
        let [batch, ..] = image.dims();
        let features = self.forward_features(image, prompts, SCALES, rng.as_deref_mut());
        let state = self.head.state(&features.states, words(prompts, batch), rng.as_deref_mut());
        let heads = features.scales.iter().zip(&self.head.masks);
        let mut logits: Vec<Tensor<5>> =
            heads.map(|(map, head)| head.forward(map.clone(), state.clone(), None)).collect();
        let coarse = logits[PRESENCE_SCALE].clone();
        PromptOutput {
            logits: logits.remove(0),
            aux_logits: logits,
            class_embedding: channels_first(self.head.class_embedding(features.bottleneck, state.clone())),
            presence: self.head.presence(state, coarse),
            vision_embedding: self.head.vision_embedding(features.scales[ALIGNED_SCALE].clone(), masks),
            sentences: sentences.map(|sentences| self.embed_sentences(sentences, rng)),
        }
    }

    /// Whether the image has the channels of the coordinates.
    pub fn reads_coordinates(&self) -> bool {
        self.coordinates
    }

    /// Logits of one window for prompts that all samples share, lowered by presence, `[B, K, x, y, z]`, and the presence
    /// logits, `[B, K]`.
    pub fn segment(&self, image: Tensor<5>, prompts: &EncodedPrompts) -> (Tensor<5>, Option<Tensor<2>>) {
        let [batch, ..] = image.dims();
        let Features { scales, states, .. } = self.forward_features(image, prompts, PRESENCE_SCALE + 1, None);
        let state = self.head.state(&states, words(prompts, batch), None);
        let coarse =
            self.head.masks[PRESENCE_SCALE].forward(scales[PRESENCE_SCALE].clone(), state.clone(), None);
        let presence = self.head.presence(state.clone(), coarse);
        let lowered = presence.clone().map(log_sigmoid);
        let logits = self.head.masks[0].forward(scales[0].clone(), state, lowered);
        (logits, presence)
    }

    /// The first text stage of `num_prompts` prompts, of all samples or of each, which no image changes.
    pub fn encode_prompts(
        &self,
        tokens: &TokenBatch,
        num_prompts: usize,
        mut rng: Option<&mut DropoutRng>,
    ) -> EncodedPrompts {
        let embedded = self.text_encoder.embeddings.forward(tokens.input_ids.clone(), rng.as_deref_mut());
        let mask = tokens.attention_mask.clone();
        let words = self.text_encoder.embeddings.mean_word(tokens);
        EncodedPrompts {
            tokens: self.text_encoder.forward_stage(0, embedded, &mask, rng),
            mask,
            words,
            num_prompts,
        }
    }

    /// The first text stage of each text by itself, `[L, H]` without padding, and the mean of its words, `[1, H]`.
    pub fn encode_each(&self, tokens: &TokenBatch, lengths: &[usize]) -> Vec<(Tensor<2>, Tensor<2>)> {
        let EncodedPrompts { tokens: encoded, words, .. } = self.encode_prompts(tokens, lengths.len(), None);
        let [_, _, hidden] = encoded.dims();
        let of_text = |(text, length): (usize, &usize)| {
            let tokens =
                encoded.clone().slice([text..text + 1, 0..*length, 0..hidden]).reshape([*length, hidden]);
            (tokens, words.clone().slice_dim(0, text..text + 1))
        };
        lengths.iter().enumerate().map(of_text).collect()
    }

    fn embed_sentences(&self, input: &SentenceInput, rng: Option<&mut DropoutRng>) -> SentenceOutput {
        let encoded = self.text_encoder.encode(&input.tokens, rng);
        let encoded = self.pooling.pool(encoded, &input.tokens.attention_mask);
        let embedded = self.head.alignment_text.forward(encoded);
        let [prompts, sentences] = input.mask.dims();
        let [_, shared] = embedded.dims();
        let embedding = embedded.select(0, input.index.clone()).reshape([prompts, sentences, shared]);
        SentenceOutput { embedding, mask: input.mask.clone() }
    }

    fn fusion(&self, stage: usize) -> Option<&BiFusion> {
        match self.direction {
            FusionDirection::LateOnly => {
                self.fusions.last().filter(|_| stage + 1 == self.backbone.num_stages())
            }
            _ => self.fusions.get(stage),
        }
    }

    /// Both encoders side by side with a fusion block after every stage, then the decoder.
    fn forward_features(
        &self,
        image: Tensor<5>,
        prompts: &EncodedPrompts,
        num_scales: usize,
        mut rng: Option<&mut DropoutRng>,
    ) -> Features {
        let image = channels_last(image);
        let [batch, ..] = image.dims();
        let [texts, _, hidden] = prompts.tokens.dims();
        let num_prompts = prompts.num_prompts;
        // Prompts that all samples share are repeated for each.
        let repeats = batch * num_prompts / texts;
        let mask = prompts.mask.clone().repeat_dim(0, repeats);
        let mut tokens = prompts.tokens.clone().repeat_dim(0, repeats);
        let mut features = self.backbone.embed(image.clone());
        let mut skips = vec![normalize(features.clone())];
        let mut states = Vec::with_capacity(self.backbone.num_stages());
        for stage in 0..self.backbone.num_stages() {
            features = self.backbone.encode_stage(stage, features);
            skips.push(normalize(features.clone()));
            if stage > 0 {
                tokens = self.text_encoder.forward_stage(stage, tokens, &mask, rng.as_deref_mut());
            }
            if let Some(fusion) = self.fusion(stage) {
                let fused = fusion.forward(FusionInput {
                    vision: features,
                    text: tokens.clone(),
                    text_mask: mask.clone(),
                    num_classes: num_prompts,
                });
                features = fused.vision;
                tokens = fused.text.unwrap_or(tokens);
            }
            states.push(self.pooling.pool(tokens.clone(), &mask).reshape([batch, num_prompts, hidden]));
        }
        skips.truncate(self.backbone.num_stages());
        let input = DecoderInput { image, skips, bottleneck: normalize(features) };
        let decoded = self.backbone.decode(input, num_scales);
        Features { scales: decoded.features, bottleneck: decoded.bottleneck, states }
    }
}

/// The mean word of each prompt of each sample, `[B, K, H]`.
fn words(prompts: &EncodedPrompts, batch: usize) -> Tensor<3> {
    let [texts, hidden] = prompts.words.dims();
    let repeats = batch * prompts.num_prompts / texts;
    prompts.words.clone().repeat_dim(0, repeats).reshape([batch, prompts.num_prompts, hidden])
}
