//! The guard: a header is refused here unless the `nifti` crate and we both read it right.

use std::path::Path;

use nifti::{NiftiHeader, NiftiType};

use crate::{Affine, Error, Grid, Result};

/// Bytes of a NIfTI-1 header.
pub(super) const HEADER_BYTES: usize = 348;
/// Bytes before the voxels of a file without extensions: the header and four bytes of flags.
pub(super) const VOXEL_OFFSET: usize = 352;

/// `sizeof_hdr` of the successor format.
const NIFTI_2_HEADER_BYTES: i32 = 540;
/// The format stores the lengths of axes as signed 16-bit integers.
pub(super) const MAX_LENGTH: usize = i16::MAX as usize;
/// The squares of a unit quaternion's parts may sum to this much more than 1: three float32 steps, less
/// a little, since the `nifti` crate panics at three.
const QUATERNION_ROUNDING: f64 = 3e-7;

/// What a sound header says.
pub(super) struct Header {
    /// With its values made sane, for the `nifti` crate.
    pub(super) raw: NiftiHeader,
    pub(super) grid: Grid,
    pub(super) volume_count: usize,
    pub(super) datatype: NiftiType,
    pub(super) voxel_offset: usize,
    /// Intensity = stored value × slope + intercept.
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Header {
    /// Reads and checks the header at the beginning of `bytes`, which came from `path`.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut raw = parse_raw(path, bytes)?;
        let (shape, volume_count) = shape(path, &raw)?;
        let datatype = datatype(path, &raw)?;
        let voxel_offset = voxel_offset(path, raw.vox_offset)?;
        let (slope, intercept) = scaling(path, &raw)?;
        let grid = Grid::new(shape, affine(path, &mut raw)?);
        Ok(Self { raw, grid, volume_count, datatype, voxel_offset, slope, intercept })
    }

    /// Bytes of all voxels, or as many as a computer can count.
    pub(super) fn voxel_bytes(&self) -> usize {
        let lengths = self.grid.shape().into_iter().chain([self.volume_count, self.datatype.size_of()]);
        lengths.fold(1, usize::saturating_mul)
    }
}

/// Refuses an affine that places no grid: not finite or not invertible.
pub(super) fn check_affine(path: &Path, affine: &Affine) -> Result<()> {
    if affine.iter().all(|value| value.is_finite()) && affine.try_inverse().is_some() {
        return Ok(());
    }
    let rows: Vec<[f64; 4]> = (0..3).map(|row| std::array::from_fn(|column| affine[(row, column)])).collect();
    Err(Error::content(path, "a finite affine that can be inverted", format!("the rows {rows:?}")))
}

fn parse_raw(path: &Path, bytes: &[u8]) -> Result<NiftiHeader> {
    let wrong = |found: String| Error::content(path, "a NIfTI-1 file", found);
    if bytes.len() < HEADER_BYTES {
        return Err(wrong(format!("{} bytes, less than its header", bytes.len())));
    }
    let size: [u8; 4] = std::array::from_fn(|index| bytes[index]);
    let sizes = [i32::from_le_bytes(size), i32::from_be_bytes(size)];
    if sizes.contains(&NIFTI_2_HEADER_BYTES) {
        return Err(wrong("a NIfTI-2 file; convert it to NIfTI-1".to_owned()));
    }
    match &bytes[HEADER_BYTES - 4..HEADER_BYTES] {
        b"n+1\0" => {}
        b"ni1\0" => return Err(wrong("one file of a pair (.hdr and .img); join them to a .nii".to_owned())),
        other => return Err(wrong(format!("the magic bytes {:?}", other.escape_ascii().to_string()))),
    }
    let header = NiftiHeader::from_reader(bytes).map_err(|error| wrong(error.to_string()))?;
    if header.sizeof_hdr as usize != HEADER_BYTES {
        return Err(wrong(format!("a header that says it has {} bytes", header.sizeof_hdr)));
    }
    Ok(header)
}

fn shape(path: &Path, raw: &NiftiHeader) -> Result<([usize; 3], usize)> {
    let axis_count = raw.dim[0] as usize;
    if !(3..=7).contains(&axis_count) {
        return Err(Error::content(path, "3 or 4 axes", axis_count.to_string()));
    }
    let lengths: Vec<usize> = raw.dim[1..=axis_count].iter().map(|&length| length as usize).collect();
    let wrong = |expected: &str| Error::content(path, expected, format!("the lengths {lengths:?}"));
    if lengths.iter().any(|&length| length == 0 || length > MAX_LENGTH) {
        return Err(wrong("axes of 1 to 32767 voxels"));
    }
    if lengths.iter().skip(4).any(|&length| length > 1) {
        return Err(wrong("3 or 4 axes"));
    }
    Ok(([lengths[0], lengths[1], lengths[2]], lengths.get(3).copied().unwrap_or(1)))
}

fn datatype(path: &Path, raw: &NiftiHeader) -> Result<NiftiType> {
    let wrong = |found: String| Error::content(path, "whole or real voxels of 8 to 64 bits", found);
    let datatype = raw.data_type().map_err(|_| wrong(format!("the data type code {}", raw.datatype)))?;
    let is_real = matches!(
        datatype,
        NiftiType::Uint8 | NiftiType::Uint16 | NiftiType::Uint32 | NiftiType::Uint64 // unsigned
            | NiftiType::Int8 | NiftiType::Int16 | NiftiType::Int32 | NiftiType::Int64 // signed
            | NiftiType::Float32 | NiftiType::Float64 // real
    );
    if !is_real {
        return Err(wrong(format!("{datatype:?}")));
    }
    if raw.bitpix as usize != 8 * datatype.size_of() {
        return Err(wrong(format!("{datatype:?} with {} bits", raw.bitpix)));
    }
    Ok(datatype)
}

/// Where the voxels begin; 0 stands for the earliest place.
fn voxel_offset(path: &Path, offset: f32) -> Result<usize> {
    if offset == 0.0 {
        return Ok(VOXEL_OFFSET);
    }
    if offset.fract() == 0.0 && offset >= VOXEL_OFFSET as f32 {
        return Ok(offset as usize);
    }
    Err(Error::content(path, format!("voxels from byte {VOXEL_OFFSET} or later"), format!("byte {offset}")))
}

fn scaling(path: &Path, raw: &NiftiHeader) -> Result<(f64, f64)> {
    if raw.scl_slope == 0.0 || !raw.scl_slope.is_finite() {
        return Ok((1.0, 0.0));
    }
    if !raw.scl_inter.is_finite() {
        return Err(Error::content(path, "a finite intercept", raw.scl_inter.to_string()));
    }
    Ok((raw.scl_slope as f64, raw.scl_inter as f64))
}

/// The first of sform, qform and plain spacing that the header has.
fn affine(path: &Path, raw: &mut NiftiHeader) -> Result<Affine> {
    raw.pixdim[0] = if raw.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    for spacing in &mut raw.pixdim[1..=3] {
        *spacing = if *spacing == 0.0 { 1.0 } else { spacing.abs() };
    }
    let affine = if raw.sform_code > 0 {
        raw.sform_affine()
    } else if raw.qform_code > 0 {
        check_quaternion(path, raw)?;
        raw.qform_affine()
    } else {
        (raw.sform_code, raw.qform_code) = (0, 0);
        raw.affine()
    };
    check_affine(path, &affine)?;
    Ok(affine)
}

fn check_quaternion(path: &Path, raw: &NiftiHeader) -> Result<()> {
    let parts = [raw.quatern_b, raw.quatern_c, raw.quatern_d];
    let sum: f64 = parts.iter().map(|&part| part as f64 * part as f64).sum();
    if sum.is_finite() && sum <= 1.0 + QUATERNION_ROUNDING {
        return Ok(());
    }
    Err(Error::content(path, "a unit quaternion in the qform", format!("the parts {parts:?}")))
}
