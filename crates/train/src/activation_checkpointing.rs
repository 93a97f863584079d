//! Activation (gradient) checkpointing: less memory for more computation in the backward pass.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Which activations the backward pass recomputes. Gradients do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationCheckpointing {
    /// None: all activations that a gradient needs are stored.
    #[default]
    Off,
    /// Those inside residual blocks, Swin blocks, text layers and fusion MLPs, of which only the input is stored. On
    /// a GPU Burn's own checkpointing.
    Blocks,
}

impl ActivationCheckpointing {
    /// The device with autodiff and this strategy.
    pub fn autodiff(self, device: &Device) -> Device {
        let device = device.clone().autodiff();
        match self {
            Self::Off => device,
            Self::Blocks => device.gradient_checkpointing(),
        }
    }
}
