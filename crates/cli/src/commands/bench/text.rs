//! The whole network with its text: a window forward, and an update of all weights.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    data::Labeling,
    nn::{
        BiPvlSeg, BiPvlSegConfig, Bottleneck, EncodedText, HeadConfig, Merging, Preset, TextInput,
        init::Initializer,
        published::full_key_map,
        weights::{Held, save},
    },
    train::{
        TrainState,
        loss::{LossConfig, LossWeights, Losses as AllLosses},
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor};

use super::{
    Work,
    source::{Source, labels, tokens},
    vision::{LEARNING_RATE, Losses},
};

/// As many as AMOS22 has.
pub(super) const CLASSES: usize = 15;
/// A title and five concepts.
const CONCEPTS: usize = 6;
/// Tokens of the text of a class when nothing else is asked for.
const TOKENS: usize = 48;
/// A sentence has so much less than the text it is a part of.
const SENTENCES_PER_TEXT: usize = 4;
/// Of a vocabulary made of descriptions.
const WORDS: usize = 600;

/// Sizes of a whole network and its training patch.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) config: BiPvlSegConfig,
    pub(super) patch: [usize; 3],
    classes: usize,
    /// Of the text of a class.
    tokens: usize,
    batch: usize,
    max_grad_norm: f64,
}

impl Scene {
    pub(super) fn paper() -> Self {
        Self::of(Preset::Paper, 1, 0.0)
    }

    pub(super) fn tiny() -> Self {
        Self::of(Preset::Tiny, 2, 1.0)
    }

    /// A network that a processor takes through a whole CT in a minute: feature size 12 in patches of 96³.
    pub(super) fn narrow() -> Self {
        let mut scene = Self::of(Preset::Small, 1, 0.0);
        scene.config.vision.feature_size = 12;
        scene.config.fusion.heads = 4;
        scene.patch = Preset::Paper.patch();
        scene
    }

    /// A preset as MONAI 1.6 merges patches, without dropout, so that every program computes the same.
    fn of(preset: Preset, batch: usize, max_grad_norm: f64) -> Self {
        let mut config = preset.config(1);
        config.vision.merging = Merging::Complete;
        config.bottleneck = Bottleneck::Fused;
        config.text.hidden_dropout_prob = 0.0;
        if config.text.vocab_size == 0 {
            config.text.vocab_size = WORDS;
        }
        Self { config, patch: preset.patch(), classes: CLASSES, tokens: TOKENS, batch, max_grad_norm }
    }

    /// The same with another number of classes, and texts of another length.
    pub(super) fn with_text(self, classes: Option<u16>, tokens: Option<u16>) -> Self {
        Self {
            classes: classes.map_or(self.classes, usize::from),
            tokens: tokens.map_or(self.tokens, usize::from),
            ..self
        }
    }

    /// Each class is one label.
    pub(super) fn labeling(&self) -> Labeling {
        Labeling::Exclusive((1..=self.classes as u16).collect())
    }

    pub(super) fn network(&self, source: &Source, device: &Device) -> Result<BiPvlSeg> {
        let classes = HeadConfig::exclusive(self.classes);
        let network = self.config.init(classes, self.patch, &mut source.initializer(device));
        source.filled(network, &full_key_map(&self.config))
    }

    pub(super) fn text(&self, device: &Device) -> TextInput {
        let words = self.config.text.vocab_size;
        let of_sentence = self.tokens.div_ceil(SENTENCES_PER_TEXT);
        TextInput {
            full: tokens([self.classes, self.tokens], words, device),
            concepts: Some(tokens([self.classes * CONCEPTS, of_sentence], words, device)),
            num_concepts: CONCEPTS,
            num_texts: 1,
        }
    }

    fn image(&self, source: &Source, device: &Device) -> Result<Tensor<5>> {
        let [x, y, z] = self.patch;
        source.image([self.batch, 1, x, y, z], device)
    }
}

/// When the text passes the layers before the first exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// For every window.
    Each,
    /// Once, before the first window.
    Once,
}

/// A window forward.
pub(super) struct Window {
    network: BiPvlSeg,
    text: TextInput,
    encoded: Option<EncodedText>,
    image: Tensor<5>,
    logits: Option<Tensor<5>>,
}

impl Window {
    pub(super) fn new(source: &Source, scene: &Scene, encoding: Encoding) -> Result<Self> {
        let device = Device::flex();
        let network = scene.network(source, &device)?;
        let text = scene.text(&device);
        let encoded = (encoding == Encoding::Once).then(|| network.encode_text(&text, None));
        let image = scene.image(source, &device)?;
        Ok(Self { network, text, encoded, image, logits: None })
    }
}

impl Work for Window {
    fn run(&mut self) -> Result<()> {
        self.logits = None;
        let encoded = self.encoded.clone().unwrap_or_else(|| self.network.encode_text(&self.text, None));
        self.logits = Some(self.network.segment(self.image.clone(), &encoded));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let logits = self.logits.iter().map(|logits| ("logits".to_owned(), Held::of(logits.clone())));
        Ok(save(path, &logits.collect(), &[])?)
    }
}

/// Updates of all weights: forward, three losses, backward, `AdamW`.
pub(super) struct Training {
    /// Away only while it is updated, so that nobody else holds its weights.
    trainee: Option<TrainState>,
    optimizer: AdamW,
    text: TextInput,
    image: Tensor<5>,
    labels: Tensor<4, Int>,
    labeling: Labeling,
    losses: Losses,
}

impl Training {
    pub(super) fn new(source: &Source, scene: &Scene) -> Result<Self> {
        let device = Device::flex().autodiff();
        let model = scene.network(source, &device)?;
        let trainee = TrainState { model, loss_weights: LossWeights::new(&Initializer::blank(&device)) };
        let [x, y, z] = scene.patch;
        let optimizer = AdamWConfig { max_grad_norm: scene.max_grad_norm, ..AdamWConfig::default() };
        Ok(Self {
            trainee: Some(trainee),
            optimizer: AdamW::new(optimizer),
            text: scene.text(&device),
            image: scene.image(source, &device)?,
            labels: labels([scene.batch, x, y, z], scene.classes + 1, &device),
            labeling: scene.labeling(),
            losses: Losses::default(),
        })
    }
}

impl Work for Training {
    fn run(&mut self) -> Result<()> {
        let config = LossConfig::default();
        let trainee = self.trainee.take().context("a network to train")?;
        let output = trainee.model.forward(self.image.clone(), &self.text, None);
        let losses = AllLosses::of(&output, self.labels.clone(), &self.labeling, &config, None);
        let total = trainee.loss_weights.total(&losses, config.weighting);
        self.losses.push(&total);
        // Nothing of the graph but what `total` holds on to may live on through the backward pass.
        drop((output, losses));
        self.trainee = Some(self.optimizer.step(trainee, total.backward(), LEARNING_RATE));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        self.losses.save(path)
    }
}
