//! The whole network with text: forward pass and training step.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    data::LabelSchema,
    nn::{
        BackboneConfig, BiPvlSeg, BiPvlSegConfig, BottleneckInput, EncodedText, HeadConfig, ModelSize,
        PatchMerging, SwinUnetrConfig, TextInput,
        init::Initializer,
        interop::full_key_map,
        weights::{TensorHandle, save},
    },
    train::{
        TrainModule,
        loss::{LossConfig, LossTerms as AllLosses, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor};

use super::{
    Workload,
    inputs::{Inputs, labels, tokens},
    vision::{LEARNING_RATE, LossTerms},
};

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
    classes: usize,
    /// Tokens per class.
    tokens: usize,
    batch: usize,
    max_grad_norm: f64,
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
        if config.text.vocab_size == 0 {
            config.text.vocab_size = WORDS;
        }
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

    /// One label per class.
    pub(super) fn label_schema(&self) -> LabelSchema {
        LabelSchema::from_labels(&(1..=self.classes as u16).collect::<Vec<_>>())
            .expect("labels from 1 on, each once")
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

    fn image(&self, inputs: &Inputs, device: &Device) -> Result<Tensor<5>> {
        let [x, y, z] = self.patch;
        inputs.image([self.batch, 1, x, y, z], device)
    }
}

fn swin_unetr(config: &mut BiPvlSegConfig) -> &mut SwinUnetrConfig {
    let BackboneConfig::SwinUnetr(config) = &mut config.vision;
    config
}

/// When the text layers before the first fusion are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// For every patch.
    Each,
    /// Once, before the first patch.
    Once,
}

/// Forward pass.
pub(super) struct Forward {
    network: BiPvlSeg,
    text: TextInput,
    encoded: Option<EncodedText>,
    image: Tensor<5>,
    logits: Option<Tensor<5>>,
}

impl Forward {
    pub(super) fn new(inputs: &Inputs, fixture: &Fixture, encoding: Encoding) -> Result<Self> {
        let device = Device::flex();
        let network = fixture.network(inputs, &device)?;
        let text = fixture.text(&device);
        let encoded = (encoding == Encoding::Once).then(|| network.encode_text(&text, None));
        let image = fixture.image(inputs, &device)?;
        Ok(Self { network, text, encoded, image, logits: None })
    }
}

impl Workload for Forward {
    fn run(&mut self) -> Result<()> {
        self.logits = None;
        let encoded = self.encoded.clone().unwrap_or_else(|| self.network.encode_text(&self.text, None));
        self.logits = Some(self.network.segment(self.image.clone(), &encoded));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let logits =
            self.logits.iter().map(|logits| ("logits".to_owned(), TensorHandle::new(logits.clone())));
        Ok(save(path, &logits.collect(), &[])?)
    }
}

/// Training steps: forward, three losses, backward, `AdamW`.
pub(super) struct Training {
    /// `None` during the step, so that its weights are uniquely owned.
    state: Option<TrainModule>,
    optimizer: AdamW,
    text: TextInput,
    image: Tensor<5>,
    labels: Tensor<4, Int>,
    label_schema: LabelSchema,
    losses: LossTerms,
}

impl Training {
    pub(super) fn new(inputs: &Inputs, fixture: &Fixture) -> Result<Self> {
        let device = Device::flex().autodiff();
        let model = fixture.network(inputs, &device)?;
        let state = TrainModule { model, loss_weights: LossWeights::new(&Initializer::zeros(&device)) };
        let [x, y, z] = fixture.patch;
        let optimizer = AdamWConfig { max_grad_norm: fixture.max_grad_norm, ..AdamWConfig::default() };
        Ok(Self {
            state: Some(state),
            optimizer: AdamW::new(optimizer),
            text: fixture.text(&device),
            image: fixture.image(inputs, &device)?,
            labels: labels([fixture.batch, x, y, z], fixture.classes + 1, &device),
            label_schema: fixture.label_schema(),
            losses: LossTerms::default(),
        })
    }
}

impl Workload for Training {
    fn run(&mut self) -> Result<()> {
        let config = LossConfig::default();
        let state = self.state.take().context("a network to train")?;
        let output = state.model.forward(self.image.clone(), &self.text, None);
        let losses = AllLosses::compute(&output, self.labels.clone(), &self.label_schema, &config, None);
        let total = state.loss_weights.total(&losses, config.weighting);
        self.losses.push(&total);
        // Free the parts of the graph that `total` does not reference before the backward pass.
        drop((output, losses));
        self.state = Some(self.optimizer.step(state, total.backward(), LEARNING_RATE));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        self.losses.save(path)
    }
}
