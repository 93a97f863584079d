//! The whole network with text: training step.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    data::LabelSchema,
    nn::{TextInput, init::Initializer},
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
    vision_training::LEARNING_RATE,
    workload::Workload,
};

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
            label_schema: label_schema(fixture.classes),
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

/// One label per class.
pub(super) fn label_schema(classes: usize) -> LabelSchema {
    LabelSchema::from_labels(&(1..=classes as u16).collect::<Vec<_>>()).expect("labels from 1 on, each once")
}
