//! What the backward pass computes once more instead of remembering it (gradient checkpointing).

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// What is computed once more; no gradient depends on it, only memory and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationCheckpointing {
    /// Off: every activation that a gradient needs is kept.
    #[default]
    Off,
    /// The insides of every residual block, Swin block, text layer and fusion perceptron: what enters one is all
    /// that is remembered of it. On a graphics card only what Burn repeats by itself.
    Blocks,
}

impl ActivationCheckpointing {
    /// The device with autodiff that computes so.
    pub fn autodiff(self, device: &Device) -> Device {
        let device = device.clone().autodiff();
        match self {
            Self::Off => device,
            Self::Blocks => device.gradient_checkpointing(),
        }
    }
}
