//! Swin UNETR without text: forward pass.

use std::path::Path;

use anyhow::Result;
use bipvl::nn::{
    BackboneConfig, PatchMerging, SwinUnetrConfig, SwinVersion, VisionSeg,
    interop::monai,
    weights::{TensorHandle, save},
};
use burn::tensor::{Device, Tensor};

use super::{benchmark::Size, inputs::Inputs, workload::Workload};

/// Background and the thirteen classes of BTCV.
pub(super) const OUTPUTS: usize = 14;

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

/// The network without text.
pub(super) fn network(inputs: &Inputs, size: Size, device: &Device) -> Result<VisionSeg> {
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
