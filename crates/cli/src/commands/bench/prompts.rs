//! The prompted network: forward pass of one window with cached first text stage.

use std::path::Path;

use anyhow::Result;
use bipvl::nn::{
    ModelSize,
    prompts::{EncodedPrompts, PromptSeg},
    weights::{TensorHandle, save},
};
use burn::tensor::{Device, Tensor};

use super::{
    inputs::{Inputs, tokens},
    workload::Workload,
};

/// Tokens of a short prompt such as "right kidney", with a start, an end and split words.
const TOKENS: usize = 8;

/// Forward pass.
pub(super) struct Forward {
    network: PromptSeg,
    prompts: EncodedPrompts,
    image: Tensor<5>,
    logits: Option<Tensor<5>>,
}

impl Forward {
    /// A network of size `paper`, or `tiny` for the smoke test.
    pub(super) fn new(inputs: &Inputs, prompts: usize, smoke_test: bool) -> Result<Self> {
        let device = Device::flex();
        let size = if smoke_test { ModelSize::Tiny } else { ModelSize::Paper };
        let mut config = size.prompted_config(1);
        config.text.vocab_size = config.text.vocab_size.max(600);
        let network = PromptSeg::new(&mut inputs.initializer(&device), &config);
        let tokens = tokens([prompts, TOKENS], config.text.vocab_size, &device);
        let prompts = network.encode_prompts(&tokens, prompts, None);
        let [x, y, z] = size.patch();
        // Intensities and coordinates.
        let image = inputs.image([1, 4, x, y, z], &device)?;
        Ok(Self { network, prompts, image, logits: None })
    }
}

impl Workload for Forward {
    fn run(&mut self) -> Result<()> {
        self.logits = None;
        self.logits = Some(self.network.segment(self.image.clone(), &self.prompts).0);
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let logits =
            self.logits.iter().map(|logits| ("logits".to_owned(), TensorHandle::new(logits.clone())));
        Ok(save(path, &logits.collect(), &[])?)
    }
}
