//! Compute devices and precisions, selected by name at run time.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// CPU, with the kernels of this project.
    Cpu,
    /// GPU through Vulkan.
    Vulkan,
    /// NVIDIA GPU (CUDA).
    Cuda,
}

/// Floating-point precision of a forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    Float32,
    /// bfloat16 with accumulation in float32 (mixed precision); no device supports it yet.
    Bf16,
}

/// A device does not support a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {device} does not support precision {precision}, only float32")]
pub struct UnsupportedPrecision {
    /// The precision requested.
    pub precision: Precision,
    /// The device.
    pub device: DeviceKind,
}

/// A device is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The crate was compiled without it.
    #[error("no support for {0} devices in this build; compile with feature `{0}`")]
    NotBuilt(DeviceKind),
    /// The machine has none, or no driver for it.
    #[error("no {0} device found")]
    NotFound(DeviceKind),
}

impl DeviceKind {
    /// The first device of this kind, without autodiff.
    ///
    /// # Errors
    ///
    /// When the crate was compiled without it, or the machine has none.
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
    /// Whether a device supports the precision.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check(self, device: DeviceKind) -> Result<(), UnsupportedPrecision> {
        match self {
            Self::Float32 => Ok(()),
            Self::Bf16 => Err(UnsupportedPrecision { precision: self, device }),
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
