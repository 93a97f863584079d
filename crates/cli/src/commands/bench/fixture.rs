//! Whole networks with text to benchmark.

use anyhow::Result;
use bipvl::nn::{
    BackboneConfig, BiPvlSeg, BiPvlSegConfig, BottleneckInput, HeadConfig, ModelSize, PatchMerging,
    SwinUnetrConfig, TextInput, interop::full_key_map,
};
use burn::tensor::{Device, Tensor};

use super::inputs::{Inputs, tokens};

/// Number of classes, as in AMOS22.
pub(super) const CLASSES: usize = 15;
/// A title and five concepts.
const CONCEPTS: usize = 6;
/// Default number of tokens per class.
const TOKENS: usize = 48;
/// Ratio of the length of a text to that of its sentences.
const SENTENCES_PER_TEXT: usize = 4;
/// Size of a vocabulary made from descriptions.
const WORDS: usize = 600;

/// Configuration of a whole network, its patch and its text.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    pub(super) config: BiPvlSegConfig,
    pub(super) patch: [usize; 3],
    pub(super) classes: usize,
    /// Tokens per class.
    tokens: usize,
    pub(super) batch: usize,
    pub(super) max_grad_norm: f64,
}

impl Fixture {
    pub(super) fn paper() -> Self {
        Self::of(ModelSize::Paper, 1, 0.0)
    }

    pub(super) fn tiny() -> Self {
        Self::of(ModelSize::Tiny, 2, 1.0)
    }

    /// A network that segments a whole CT on a CPU in a minute: feature size 12, patches of 96³.
    pub(super) fn narrow() -> Self {
        let mut fixture = Self::of(ModelSize::Small, 1, 0.0);
        swin_unetr(&mut fixture.config).feature_size = 12;
        fixture.config.fusion.heads = 4;
        fixture.patch = ModelSize::Paper.patch();
        fixture
    }

    /// A model size with the patch merging of MONAI 1.6 and without dropout, for comparison with other programs.
    fn of(size: ModelSize, batch: usize, max_grad_norm: f64) -> Self {
        let mut config = size.config(1);
        swin_unetr(&mut config).merging = PatchMerging::V2;
        config.bottleneck = BottleneckInput::AfterFusion;
        config.text.hidden_dropout_prob = 0.0;
        config.text.vocab_size = config.text.vocab_size.max(WORDS);
        Self { config, patch: size.patch(), classes: CLASSES, tokens: TOKENS, batch, max_grad_norm }
    }

    /// The same with other numbers of classes and tokens.
    pub(super) fn with_text(self, classes: Option<u16>, tokens: Option<u16>) -> Self {
        Self {
            classes: classes.map_or(self.classes, usize::from),
            tokens: tokens.map_or(self.tokens, usize::from),
            ..self
        }
    }

    pub(super) fn network(&self, inputs: &Inputs, device: &Device) -> Result<BiPvlSeg> {
        let classes = HeadConfig::exclusive(self.classes);
        let network = self.config.init(classes, self.patch, &mut inputs.initializer(device));
        inputs.load_weights(network, &full_key_map(&self.config))
    }

    pub(super) fn text(&self, device: &Device) -> TextInput {
        let words = self.config.text.vocab_size;
        let of_sentence = self.tokens.div_ceil(SENTENCES_PER_TEXT);
        TextInput {
            prompts: tokens([self.classes, self.tokens], words, device),
            sentences: Some(tokens([self.classes * CONCEPTS, of_sentence], words, device)),
            sentences_per_class: CONCEPTS,
            num_texts: 1,
        }
    }

    pub(super) fn image(&self, inputs: &Inputs, device: &Device) -> Result<Tensor<5>> {
        let [x, y, z] = self.patch;
        inputs.image([self.batch, 1, x, y, z], device)
    }
}

fn swin_unetr(config: &mut BiPvlSegConfig) -> &mut SwinUnetrConfig {
    let BackboneConfig::SwinUnetr(config) = &mut config.vision;
    config
}
