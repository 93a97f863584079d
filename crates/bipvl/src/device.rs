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
pub enum MissingDevice {
    /// The program does not know it.
    #[error(
        "--device {0}: expected a program built with `--features {0}`, found one without; use --device cpu or build again"
    )]
    NotBuilt(DeviceKind),
    /// The machine does not have it.
    #[error(
        "--device {0}: expected a graphics card with a working {0} driver, found none; use --device cpu or install the driver"
    )]
    NotFound(DeviceKind),
}

impl DeviceKind {
    /// The first device of this kind, without autodiff.
    ///
    /// # Errors
    ///
    /// When this program was built without it, or the machine has none.
    pub fn open(self) -> Result<Device, MissingDevice> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => self.first_of(burn::tensor::DeviceType::Vulkan),
            #[cfg(feature = "cuda")]
            Self::Cuda => self.first_of(burn::tensor::DeviceType::Cuda),
            #[cfg(not(all(feature = "vulkan", feature = "cuda")))]
            kind => Err(MissingDevice::NotBuilt(kind)),
        }
    }

    #[cfg(any(feature = "vulkan", feature = "cuda"))]
    fn first_of(self, kind: burn::tensor::DeviceType) -> Result<Device, MissingDevice> {
        Device::enumerate(kind).into_iter().next().ok_or(MissingDevice::NotFound(self))
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
