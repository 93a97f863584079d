//! What the backward pass computes once more instead of remembering it (gradient checkpointing).

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// What is computed once more; no bit of a gradient depends on it, only memory and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// Nothing: everything that a gradient needs is remembered.
    #[default]
    Nothing,
    /// What costs memory traffic alone: norms of feature maps, GELU, sums, copies. Convolutions, attention and
    /// linear layers are remembered.
    Cheap,
}

impl Recompute {
    /// The device with autodiff that computes so.
    pub fn autodiff(self, device: &Device) -> Device {
        let device = device.clone().autodiff();
        match self {
            Self::Nothing => device,
            Self::Cheap => device.gradient_checkpointing(),
        }
    }
}
