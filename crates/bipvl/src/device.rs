//! Where tensors live, chosen by name when the program runs.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor, with the kernels of this project.
    Cpu,
    /// A graphics card through Vulkan.
    Vulkan,
    /// A graphics card of NVIDIA.
    Cuda,
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--device {kind}: expected a program built with `--features {kind}`, found one without; use --device cpu or build again"
)]
pub struct MissingDevice {
    kind: DeviceKind,
}

impl DeviceKind {
    /// The device, without autodiff.
    ///
    /// # Errors
    ///
    /// When this program was built without it.
    pub fn open(self) -> Result<Device, MissingDevice> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(0)),
            #[cfg(not(all(feature = "vulkan", feature = "cuda")))]
            kind => Err(MissingDevice { kind }),
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Cpu, Self::Vulkan, Self::Cuda]
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| format!("expected one of cpu, vulkan, cuda, found \"{name}\""))
    }
}
