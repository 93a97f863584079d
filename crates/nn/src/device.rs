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

/// How numbers are kept while a network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits with the range of 32, added up in 32 (mixed precision). No device has it yet.
    Bf16,
}

/// Why a device does not compute so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--precision {asked}: expected float32, all that --device {device} computes in so far, found {asked}; docs/performance.md says why"
)]
pub struct UnsupportedPrecision {
    asked: Precision,
    device: DeviceKind,
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
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
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => self.first_of(burn::tensor::DeviceType::Vulkan),
            #[cfg(feature = "cuda")]
            Self::Cuda => self.first_of(burn::tensor::DeviceType::Cuda),
            #[cfg(not(all(feature = "vulkan", feature = "cuda")))]
            kind => Err(DeviceError::NotBuilt(kind)),
        }
    }

    #[cfg(any(feature = "vulkan", feature = "cuda"))]
    fn first_of(self, kind: burn::tensor::DeviceType) -> Result<Device, DeviceError> {
        Device::enumerate(kind).into_iter().next().ok_or(DeviceError::NotFound(self))
    }
}

impl Precision {
    /// Whether a device computes so.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check(self, device: DeviceKind) -> Result<(), UnsupportedPrecision> {
        match self {
            Self::Float32 => Ok(()),
            Self::Bf16 => Err(UnsupportedPrecision { asked: self, device }),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Float32, Self::Bf16]
            .into_iter()
            .find(|precision| precision.to_string() == name)
            .ok_or_else(|| format!("expected float32 or bf16, found \"{name}\""))
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
