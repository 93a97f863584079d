//! Swin UNETR without text: training step.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    nn::VisionSeg,
    train::{
        loss::segmentation::dice_and_cross_entropy,
        optimizer::{AdamW, AdamWConfig},
    },
};
use burn::tensor::{Device, Int, Tensor};

use super::{
    benchmark::Size,
    inputs::{Inputs, labels},
    losses::LossHistory,
    vision::{OUTPUTS, network},
    workload::Workload,
};

/// The backward pass costs two forward passes: gradients of inputs and of weights.
const FORWARDS_PER_STEP: f64 = 3.0;
/// Learning rate of benchmarked trainings.
pub(super) const LEARNING_RATE: f64 = 1e-4;

/// Training steps: forward, loss, backward, `AdamW`.
pub(super) struct Training {
    /// `None` during the step, so that its weights are uniquely owned.
    network: Option<VisionSeg>,
    optimizer: AdamW,
    image: Tensor<5>,
    labels: Tensor<4, Int>,
    losses: LossHistory,
    gflop: f64,
}

impl Training {
    pub(super) fn new(inputs: &Inputs, size: Size) -> Result<Self> {
        let device = Device::flex().autodiff();
        let Size { side, .. } = size;
        let network = network(inputs, size, &device)?;
        let image = inputs.image([1, 1, side, side, side], &device)?;
        let labels = labels([1, side, side, side], OUTPUTS, &device);
        let optimizer = AdamW::new(AdamWConfig::default());
        let gflop = FORWARDS_PER_STEP * network.cost([side; 3]).gflops();
        Ok(Self { network: Some(network), optimizer, image, labels, losses: LossHistory::default(), gflop })
    }
}

impl Workload for Training {
    fn run(&mut self) -> Result<()> {
        let network = self.network.take().context("a network to train")?;
        let logits = network.forward(self.image.clone());
        let loss = dice_and_cross_entropy(logits, self.labels.clone(), None);
        self.losses.push(&loss);
        self.network = Some(self.optimizer.step(network, loss.backward(), LEARNING_RATE));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        self.losses.save(path)
    }

    fn gflop(&self) -> Option<f64> {
        Some(self.gflop)
    }
}
