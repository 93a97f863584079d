//! Reads and writes `.nii` and `.nii.gz`; the only room that knows that format and its memory order.
//!
//! The `nifti` crate parses headers and voxels. Around it stands a guard that refuses, with an error
//! that names the file, everything it would misread or panic on.

mod header;
mod memory_order;
mod source;
mod write;

use std::path::Path;

use ndarray::Array3;
use nifti::{DataElement, InMemNiftiVolume, NiftiType};
use rayon::prelude::*;

use super::{Format, Header as FileHeader};
use crate::{Error, LabelMap, Result, Volume};
use header::Header;
use memory_order::reverse_axes;

/// A stored label times its slope (a float32) may miss a whole number by this much.
const WHOLE: f64 = 1e-3;

/// Reads intensities: one volume per index of the fourth axis, one in all if the file has three axes.
///
/// Slope and intercept are applied in float64. Whether the file is gzip is seen from its content. The
/// affine is the sform if its code is above 0, else the qform if its code is, else the plain spacing
/// (as nibabel chooses); units are taken for millimeters.
///
/// # Errors
///
/// When the file cannot be read, is no NIfTI-1 file, contradicts itself, is too short, or holds voxels
/// that are not finite.
pub(super) fn read_image(path: &Path) -> Result<Vec<Volume<f32>>> {
    read(path, "finite intensities", |value| Some(value as f32).filter(|intensity| intensity.is_finite()))
}

/// Reads labels.
///
/// # Errors
///
/// As [`read_image`], and when the file holds more than one volume, or voxels that are not whole numbers
/// from 0 to 65535.
pub(super) fn read_labels(path: &Path) -> Result<LabelMap> {
    let mut volumes = read(path, "whole labels from 0 to 65535", |value| {
        let label = value.round();
        let is_label = (value - label).abs() <= WHOLE && (0.0..=u16::MAX as f64).contains(&label);
        is_label.then_some(label as u16)
    })?;
    match (volumes.pop(), volumes.len()) {
        (Some(labels), 0) => Ok(labels),
        (_, others) => Err(Error::content(path, "labels of one volume", format!("{} volumes", others + 1))),
    }
}

/// Reads the header.
pub(super) fn probe(path: &Path) -> Result<FileHeader> {
    let header = Header::parse(path, &source::read_head(path)?)?;
    Ok(FileHeader {
        format: Format::Nifti,
        grid: header.grid,
        num_channels: header.volume_count,
        nifti_forms: None,
    })
}

/// Writes labels: one byte per voxel where all fit, else two. The grid comes back the same to the last
/// bit of float32. A file of that name is replaced at once, when all is written; a name that ends with
/// `.gz` is packed.
///
/// # Errors
///
/// When the system refuses, the name ends with neither `.nii` nor `.nii.gz`, or the grid has an axis
/// without voxels or an affine that cannot be inverted.
pub(super) fn write_labels(path: &Path, labels: &LabelMap) -> Result<()> {
    if labels.voxels().iter().all(|&label| u8::try_from(label).is_ok()) {
        write::write(path, labels, NiftiType::Uint8, |label| [label as u8])
    } else {
        write::write(path, labels, NiftiType::Uint16, u16::to_le_bytes)
    }
}

/// Writes intensities as float32, otherwise as [`write_labels`].
///
/// # Errors
///
/// As [`write_labels`].
pub(super) fn write_image(path: &Path, image: &Volume<f32>) -> Result<()> {
    write::write(path, image, NiftiType::Float32, f32::to_le_bytes)
}

/// Reads all volumes; `convert` says what a scaled value means, or `None` if it is not as `expected`.
fn read<T>(path: &Path, expected: &str, convert: impl Fn(f64) -> Option<T> + Sync) -> Result<Vec<Volume<T>>>
where
    T: Clone + Default + Send,
{
    let mut bytes = source::read_all(path)?;
    let header = Header::parse(path, &bytes)?;
    let present = bytes.len().saturating_sub(header.voxel_offset);
    let needed = header.voxel_bytes();
    if needed > present {
        return Err(Error::content(path, format!("{needed} bytes of voxels"), present.to_string()));
    }
    bytes.drain(..header.voxel_offset);
    bytes.truncate(needed);
    let stored = InMemNiftiVolume::from_raw_data(&header.raw, bytes)
        .map_err(|error| Error::content(path, "voxels as the header says", error.to_string()))?;
    let read = Reading { path, header: &header, expected, convert: &convert };
    match header.datatype {
        NiftiType::Uint8 => read.volumes(stored, f64::from_u8),
        NiftiType::Uint16 => read.volumes(stored, f64::from_u16),
        NiftiType::Uint32 => read.volumes(stored, f64::from_u32),
        NiftiType::Uint64 => read.volumes(stored, f64::from_u64),
        NiftiType::Int8 => read.volumes(stored, f64::from_i8),
        NiftiType::Int16 => read.volumes(stored, f64::from_i16),
        NiftiType::Int32 => read.volumes(stored, f64::from_i32),
        NiftiType::Int64 => read.volumes(stored, f64::from_i64),
        NiftiType::Float32 => read.volumes(stored, f64::from_f32),
        NiftiType::Float64 => read.volumes(stored, f64::from_f64),
        _ => unreachable!("the guard lets no other type pass"),
    }
}

/// What is the same for every stored type.
struct Reading<'a, C> {
    path: &'a Path,
    header: &'a Header,
    expected: &'a str,
    convert: &'a C,
}

impl<C> Reading<'_, C> {
    fn volumes<S, T>(&self, stored: InMemNiftiVolume, widen: fn(S) -> f64) -> Result<Vec<Volume<T>>>
    where
        S: DataElement + Send + Sync,
        T: Clone + Default + Send,
        C: Fn(f64) -> Option<T> + Sync,
    {
        let Self { path, header, expected, convert } = *self;
        let values: Vec<S> = stored
            .into_nifti_typed_data()
            .map_err(|error| Error::content(path, "voxels as the header says", error.to_string()))?;
        let scaled = |value: S| widen(value) * header.slope + header.intercept;
        let is_wrong = |value: &S| convert(scaled(*value)).is_none();
        let wrong_count = values.par_iter().filter(|value| is_wrong(value)).count();
        if let Some(first) = values.iter().find(|value| is_wrong(value)) {
            let (count, first) = (values.len(), scaled(*first));
            let found = format!("others in {wrong_count} of {count} voxels, the first {first}");
            return Err(Error::content(path, expected, found));
        }

        let shape @ [x, y, z] = header.grid.shape();
        let volume = |values: &[S]| {
            let voxels = reverse_axes(values, [z, y, x], |value| convert(scaled(value)).unwrap_or_default());
            let voxels = Array3::from_shape_vec(shape, voxels).expect("one value was made for every voxel");
            Volume::new(voxels, header.grid.clone())
        };
        Ok(values.chunks(x * y * z).map(volume).collect())
    }
}
