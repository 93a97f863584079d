//! Swin UNETR without text: forward pass and training step.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    nn::{
        BackboneConfig, PatchMerging, SwinUnetrConfig, SwinVersion, VisionSeg,
        interop::monai,
        weights::{TensorHandle, save},
    },
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
    workload::Workload,
};

/// Background and the thirteen classes of BTCV.
const OUTPUTS: usize = 14;
/// The backward pass costs two forward passes: gradients of inputs and of weights.
const FORWARDS_PER_STEP: f64 = 3.0;
pub(super) const LEARNING_RATE: f64 = 1e-4;

fn config(size: Size) -> SwinUnetrConfig {
    SwinUnetrConfig {
        in_channels: 1,
        feature_size: size.feature_size,
        depths: [2; 4],
        heads: [3, 6, 12, 24],
        window_size: 7,
        version: SwinVersion::V1,
        merging: PatchMerging::V2,
    }
}

fn network(inputs: &Inputs, size: Size, device: &Device) -> Result<VisionSeg> {
    let config = config(size);
    let key_map = monai::key_map(&config);
    let config = BackboneConfig::SwinUnetr(config);
    let network = VisionSeg::new(&mut inputs.initializer(device), &config, OUTPUTS);
    inputs.load_weights(network, &key_map)
}

/// Forward pass.
pub(super) struct Forward {
    network: VisionSeg,
    image: Tensor<5>,
    logits: Option<Tensor<5>>,
    gflop: f64,
}

impl Forward {
    pub(super) fn new(inputs: &Inputs, size: Size) -> Result<Self> {
        let device = Device::flex();
        let Size { side, .. } = size;
        let network = network(inputs, size, &device)?;
        let image = inputs.image([1, 1, side, side, side], &device)?;
        let gflop = network.cost([side; 3]).gflops();
        Ok(Self { network, image, logits: None, gflop })
    }
}

impl Workload for Forward {
    fn run(&mut self) -> Result<()> {
        self.logits = None;
        self.logits = Some(self.network.forward(self.image.clone()));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let logits =
            self.logits.iter().map(|logits| ("logits".to_owned(), TensorHandle::new(logits.clone())));
        Ok(save(path, &logits.collect(), &[])?)
    }

    fn gflop(&self) -> Option<f64> {
        Some(self.gflop)
    }
}

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
