//! The whole network with text: forward pass.

use std::path::Path;

use anyhow::Result;
use bipvl::nn::{
    BiPvlSeg, EncodedText, TextInput,
    weights::{TensorHandle, save},
};
use burn::tensor::{Device, Tensor};

use super::{fixture::Fixture, inputs::Inputs, workload::Workload};

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
