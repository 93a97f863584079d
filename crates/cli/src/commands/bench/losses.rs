//! The losses of a benchmarked training.

use std::path::Path;

use anyhow::Result;
use bipvl::nn::weights::{HostTensor, save};
use burn::tensor::Tensor;

/// The loss of every step.
#[derive(Default)]
pub(super) struct LossHistory(Vec<f32>);

impl LossHistory {
    pub(super) fn push(&mut self, loss: &Tensor<1>) {
        self.0.push(loss.clone().into_scalar());
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let losses = HostTensor { shape: vec![self.0.len()], values: self.0.clone() };
        Ok(save(path, &[("losses".to_owned(), losses)].into(), &[])?)
    }
}
