//! The whole network with text: forward pass and training step.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    data::LabelSchema,
    nn::{
        BiPvlSeg, EncodedText, TextInput,
        init::Initializer,
        weights::{TensorHandle, save},
    },
    train::{
        TrainModule,
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor};

use super::{
    fixture::Fixture,
    inputs::{Inputs, labels},
    losses::LossHistory,
    vision::LEARNING_RATE,
    workload::Workload,
};

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
    losses: LossHistory,
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
            losses: LossHistory::default(),
        })
    }
}

impl Workload for Training {
    fn run(&mut self) -> Result<()> {
        let config = LossConfig::default();
        let state = self.state.take().context("a network to train")?;
        let output = state.model.forward(self.image.clone(), &self.text, None);
        let losses = LossTerms::compute(&output, self.labels.clone(), &self.label_schema, &config, None);
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
