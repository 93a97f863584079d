//! Stored voxels ↔ volumes: scalar types, byte order, axis order, scaling.

use std::path::Path;

use ndarray::Array3;
use rayon::prelude::*;

use super::Parsed;
use crate::{Error, QuantizedProbability, Result, Volume};

/// Sections moved together: as many voxels of four bytes as a cache line holds.
const SECTIONS: usize = 16;

/// The scalar type of stored voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum VoxelType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl VoxelType {
    /// Bytes per voxel.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Byte order of stored voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// Where channels are among the stored axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelOrder {
    /// All channels of a voxel are adjacent.
    Interleaved,
    /// One volume after the other.
    Planar,
}

/// What the stored values become.
pub(super) trait Decode: Clone + Default + Send {
    /// The voxel for a scaled value; `None` if invalid.
    fn decode(value: f64) -> Option<Self>;
    /// The error for files with invalid values.
    fn invalid(path: &Path, count: usize, total: usize, first: f64) -> Error;
}

impl Decode for f32 {
    fn decode(value: f64) -> Option<Self> {
        Some(value as Self).filter(|intensity| intensity.is_finite())
    }

    fn invalid(path: &Path, count: usize, total: usize, first: f64) -> Error {
        Error::NonFiniteIntensities { path: path.to_owned(), count, total, first }
    }
}

impl Decode for u16 {
    fn decode(value: f64) -> Option<Self> {
        /// A stored label times its slope (a float32) may miss an integer by this much.
        const TOLERANCE: f64 = 1e-3;
        let label = value.round();
        let is_label = (value - label).abs() <= TOLERANCE && (0.0..=f64::from(Self::MAX)).contains(&label);
        is_label.then_some(label as Self)
    }

    fn invalid(path: &Path, count: usize, total: usize, first: f64) -> Error {
        Error::InvalidLabels { path: path.to_owned(), count, total, first }
    }
}

/// Decodes the voxels of all channels from exactly the bytes they take.
pub(super) fn decode<T: Decode>(path: &Path, parsed: &Parsed, mut bytes: Vec<u8>) -> Result<Vec<Volume<T>>> {
    let size = parsed.header.voxel_type.size();
    if parsed.layout.byte_order == ByteOrder::Big && size > 1 {
        bytes.par_chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    if parsed.layout.channels == ChannelOrder::Interleaved && parsed.header.num_channels > 1 {
        bytes = deinterleaved(&bytes, size, parsed.header.num_channels);
    }
    match parsed.header.voxel_type {
        VoxelType::U8 => volumes(path, parsed, &bytes, |[byte]| f64::from(byte)),
        VoxelType::I8 => volumes(path, parsed, &bytes, |bytes| f64::from(i8::from_le_bytes(bytes))),
        VoxelType::U16 => volumes(path, parsed, &bytes, |bytes| f64::from(u16::from_le_bytes(bytes))),
        VoxelType::I16 => volumes(path, parsed, &bytes, |bytes| f64::from(i16::from_le_bytes(bytes))),
        VoxelType::U32 => volumes(path, parsed, &bytes, |bytes| f64::from(u32::from_le_bytes(bytes))),
        VoxelType::I32 => volumes(path, parsed, &bytes, |bytes| f64::from(i32::from_le_bytes(bytes))),
        VoxelType::U64 => volumes(path, parsed, &bytes, |bytes| u64::from_le_bytes(bytes) as f64),
        VoxelType::I64 => volumes(path, parsed, &bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        VoxelType::F32 => volumes(path, parsed, &bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
        VoxelType::F64 => volumes(path, parsed, &bytes, f64::from_le_bytes),
    }
}

fn volumes<T: Decode, const SIZE: usize>(
    path: &Path,
    parsed: &Parsed,
    bytes: &[u8],
    widen: fn([u8; SIZE]) -> f64,
) -> Result<Vec<Volume<T>>> {
    let (values, _) = bytes.as_chunks::<SIZE>();
    let scaled = |value: [u8; SIZE]| widen(value) * parsed.layout.slope + parsed.layout.intercept;
    let is_invalid = |value: &[u8; SIZE]| T::decode(scaled(*value)).is_none();
    let count = values.par_iter().filter(|value| is_invalid(value)).count();
    if let Some(first) = values.iter().find(|value| is_invalid(value)) {
        return Err(T::invalid(path, count, values.len(), scaled(*first)));
    }
    let shape @ [x, y, z] = parsed.header.grid.shape();
    let volume = |values: &[[u8; SIZE]]| {
        let voxels = reverse_axes(values, [z, y, x], |value| T::decode(scaled(value)).unwrap_or_default());
        let voxels = Array3::from_shape_vec(shape, voxels).expect("one voxel for each value");
        Volume::new(voxels, parsed.header.grid.clone())
    };
    Ok(values.chunks(x * y * z).map(volume).collect())
}

fn deinterleaved(bytes: &[u8], size: usize, num_channels: usize) -> Vec<u8> {
    let mut planar = Vec::with_capacity(bytes.len());
    for channel in 0..num_channels {
        for voxel in bytes.chunks_exact(size * num_channels) {
            planar.extend_from_slice(&voxel[size * channel..size * (channel + 1)]);
        }
    }
    planar
}

/// Voxels as a file stores them: little endian, x fastest.
pub struct EncodedVoxels {
    pub(super) voxel_type: VoxelType,
    pub(super) bytes: Vec<u8>,
    /// Value = stored value × slope, for formats that have one.
    pub(super) slope: f32,
}

impl EncodedVoxels {
    fn unscaled(voxel_type: VoxelType, bytes: Vec<u8>) -> Self {
        Self { voxel_type, bytes, slope: 1.0 }
    }
}

/// A voxel type that can be written.
pub trait Voxel: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn encode(volume: &Volume<Self>) -> EncodedVoxels;
}

impl Voxel for u16 {
    fn encode(labels: &Volume<Self>) -> EncodedVoxels {
        if labels.voxels().iter().all(|&label| u8::try_from(label).is_ok()) {
            EncodedVoxels::unscaled(VoxelType::U8, bytes_of(labels, |label| [label as u8]))
        } else {
            EncodedVoxels::unscaled(VoxelType::U16, bytes_of(labels, Self::to_le_bytes))
        }
    }
}

impl Voxel for bool {
    fn encode(mask: &Volume<Self>) -> EncodedVoxels {
        EncodedVoxels::unscaled(VoxelType::U8, bytes_of(mask, |is_inside| [u8::from(is_inside)]))
    }
}

impl Voxel for f32 {
    fn encode(image: &Volume<Self>) -> EncodedVoxels {
        EncodedVoxels::unscaled(VoxelType::F32, bytes_of(image, Self::to_le_bytes))
    }
}

impl Voxel for QuantizedProbability {
    fn encode(probabilities: &Volume<Self>) -> EncodedVoxels {
        let bytes = bytes_of(probabilities, |Self(steps)| [steps]);
        EncodedVoxels { voxel_type: VoxelType::U8, bytes, slope: 1.0 / Self::STEPS }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bool {}
    impl Sealed for u16 {}
    impl Sealed for f32 {}
    impl Sealed for crate::QuantizedProbability {}
}

fn bytes_of<T: Copy + Sync, const SIZE: usize>(volume: &Volume<T>, to_bytes: fn(T) -> [u8; SIZE]) -> Vec<u8>
where
    [u8; SIZE]: Default,
{
    let voxels = volume.voxels().as_standard_layout();
    let voxels = voxels.as_slice().expect("the standard layout is contiguous");
    reverse_axes(voxels, volume.grid().shape(), to_bytes).into_flattened()
}

/// Converts `source`, whose last axis of `shape` is contiguous, to an array whose first axis is. Files store x
/// contiguously, volumes z.
fn reverse_axes<S, T>(source: &[S], shape: [usize; 3], convert: impl Fn(S) -> T + Sync) -> Vec<T>
where
    S: Copy + Sync,
    T: Clone + Default + Send,
{
    let [slow, middle, fast] = shape;
    let mut target = vec![T::default(); source.len()];
    target.par_chunks_mut((SECTIONS * slow * middle).max(1)).enumerate().for_each(|(chunk_index, chunk)| {
        let first = chunk_index * SECTIONS;
        let width = SECTIONS.min(fast - first);
        for j in 0..middle {
            for i in 0..slow {
                let run = &source[(i * middle + j) * fast + first..][..width];
                for (k, &value) in run.iter().enumerate() {
                    chunk[(k * middle + j) * slow + i] = convert(value);
                }
            }
        }
    });
    target
}
