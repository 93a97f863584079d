//! NIfTI-1 and NIfTI-2: `.nii`, and pairs of `.hdr` and `.img`.

mod forms;
mod header;

use std::path::{Path, PathBuf};

pub use forms::NiftiForms;

use super::{
    EncodedVoxels, Files, Format, Header, Layout, Location, Parsed, Skip, StoredCompression, VoxelType,
    WriteOptions, source::sibling, voxels::ChannelOrder,
};
use crate::{Error, Grid, Result};
use header::RawHeader;

pub(super) use header::is_nifti;

/// Bytes before the voxels of a NIfTI-1 file without extensions: the header and four bytes of flags.
const VOXEL_OFFSET: usize = 352;
/// NIfTI-1 stores lengths of axes as signed 16-bit integers.
const MAX_LENGTH: usize = i16::MAX as usize;
/// The code of millimeters in `xyzt_units`.
const MILLIMETERS: u8 = 2;
const HEADER_BYTES: i32 = 348;

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed> {
    let raw = RawHeader::parse(path, bytes)?;
    let (shape, num_channels) = shape(path, &raw)?;
    let voxel_type = voxel_type(path, &raw)?;
    let (slope, intercept) = scaling(path, &raw)?;
    let nifti_forms = raw.forms();
    let grid = Grid::new(shape, nifti_forms.affine(path, shape)?);
    let (files, skip) = voxel_location(path, &raw)?;
    let header =
        Header { format: Format::Nifti, grid, num_channels, voxel_type, nifti_forms: Some(nifti_forms) };
    let layout = Layout { byte_order: raw.byte_order, channels: ChannelOrder::Planar, slope, intercept };
    let compression = if raw.is_pair { StoredCompression::Detect } else { StoredCompression::None };
    Ok(Parsed { header, layout, location: Location { files, line_skip: 0, compression, skip } })
}

fn shape(path: &Path, raw: &RawHeader) -> Result<([usize; 3], usize)> {
    let error = |shape: &[i64]| Error::InvalidShape { path: path.to_owned(), shape: shape.to_vec() };
    let num_axes = usize::try_from(raw.dim[0]).unwrap_or(0);
    let lengths = raw.dim.get(1..=num_axes).ok_or_else(|| error(&raw.dim[1..]))?;
    let is_valid = (3..=7).contains(&num_axes)
        && lengths.iter().all(|length| *length >= 1)
        && lengths.iter().skip(4).all(|length| *length == 1);
    if !is_valid {
        return Err(error(lengths));
    }
    let length = |axis: usize| lengths.get(axis).map_or(1, |length| *length as usize);
    Ok(([length(0), length(1), length(2)], length(3)))
}

fn voxel_type(path: &Path, raw: &RawHeader) -> Result<VoxelType> {
    let voxel_type = match raw.datatype {
        2 => VoxelType::U8,
        256 => VoxelType::I8,
        512 => VoxelType::U16,
        4 => VoxelType::I16,
        768 => VoxelType::U32,
        8 => VoxelType::I32,
        1280 => VoxelType::U64,
        1024 => VoxelType::I64,
        16 => VoxelType::F32,
        64 => VoxelType::F64,
        code => {
            let name = match code {
                32 => "complex64 (code 32)".to_owned(),
                128 => "RGB24 (code 128)".to_owned(),
                2304 => "RGBA32 (code 2304)".to_owned(),
                code => format!("code {code}"),
            };
            return Err(Error::Unsupported {
                path: path.to_owned(),
                format: Format::Nifti,
                feature: "datatype",
                value: name,
                supported: "integers and real numbers of 8 to 64 bits",
            });
        }
    };
    if usize::try_from(raw.bitpix) != Ok(8 * voxel_type.size()) {
        let value = format!("{} bits for {voxel_type:?}", raw.bitpix);
        return Err(Format::Nifti.invalid(path, "bitpix", value, "the bits of the datatype"));
    }
    Ok(voxel_type)
}

fn scaling(path: &Path, raw: &RawHeader) -> Result<(f64, f64)> {
    if raw.slope == 0.0 || !raw.slope.is_finite() {
        return Ok((1.0, 0.0));
    }
    if !raw.intercept.is_finite() {
        return Err(Format::Nifti.invalid(
            path,
            "scl_inter",
            raw.intercept.to_string(),
            "a finite intercept",
        ));
    }
    Ok((raw.slope, raw.intercept))
}

/// The file of the voxels and their first byte; an offset of 0 in a single file stands for the earliest one.
fn voxel_location(path: &Path, raw: &RawHeader) -> Result<(Files, Skip)> {
    let (earliest, expected) = match (raw.is_pair, raw.header_bytes) {
        (true, _) => (0, "a whole number of at least 0"),
        (false, HEADER_BYTES) => (VOXEL_OFFSET, "a whole number of at least 352"),
        (false, _) => (header::VOXEL_OFFSET_2, "a whole number of at least 544"),
    };
    let offset = raw.voxel_offset;
    let offset = if offset == 0.0 { earliest as f64 } else { offset };
    if offset.fract() != 0.0 || offset < earliest as f64 {
        return Err(Format::Nifti.invalid(path, "vox_offset", raw.voxel_offset.to_string(), expected));
    }
    if raw.is_pair {
        return Ok((Files::Detached(vec![image_of_pair(path)]), Skip::Bytes(offset as usize)));
    }
    Ok((Files::Inline(offset as usize), Skip::Bytes(0)))
}

/// The name of the `.img` file of a header.
fn image_of_pair(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let found = sibling(path, &name, &[".hdr", ".hdr.gz"], &[".img", ".img.gz"]);
    let image = found.unwrap_or_else(|| path.with_extension("img"));
    image.file_name().map_or(image.clone(), PathBuf::from)
}

/// A NIfTI-1 file.
pub(super) fn encode(
    path: &Path,
    grid: &Grid,
    voxels: EncodedVoxels,
    options: &WriteOptions<'_>,
) -> Result<Vec<u8>> {
    if grid.shape().iter().any(|length| *length > MAX_LENGTH) {
        let value = format!("{:?}", grid.shape());
        return Err(Format::Nifti.invalid(path, "dim", value, "at most 32767 voxels per axis"));
    }
    let forms = options.nifti_forms.filter(|forms| forms.describe(grid));
    let forms = forms.copied().unwrap_or_else(|| NiftiForms::of_affine(grid.affine()));
    let mut bytes = header_bytes(grid, &voxels, &forms).to_vec();
    bytes.extend_from_slice(&voxels.bytes);
    Ok(bytes)
}

/// The header in little-endian order, and the four bytes that say that there are no extensions. Other fields are zero.
fn header_bytes(grid: &Grid, voxels: &EncodedVoxels, forms: &NiftiForms) -> [u8; VOXEL_OFFSET] {
    let mut bytes = [0; VOXEL_OFFSET];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    let [x, y, z] = grid.shape().map(|length| length as u16);
    let datatype: i16 = match voxels.voxel_type {
        VoxelType::U8 => 2,
        VoxelType::U16 => 512,
        _ => 16,
    };
    let float = |value: f64| (value as f32).to_le_bytes();
    put(0, &HEADER_BYTES.to_le_bytes());
    put(38, b"r");
    put(40, [3, x, y, z, 1, 1, 1, 1].map(u16::to_le_bytes).as_flattened());
    put(70, &datatype.to_le_bytes());
    put(72, &(8 * voxels.voxel_type.size() as i16).to_le_bytes());
    let [qfac, dx, dy, dz] = forms.pixdim;
    put(76, [qfac, dx, dy, dz, 1.0, 1.0, 1.0, 1.0].map(float).as_flattened());
    put(108, &float(VOXEL_OFFSET as f64));
    put(112, &voxels.slope.to_le_bytes());
    put(123, &[MILLIMETERS]);
    put(252, &forms.qform_code.to_le_bytes());
    put(254, &forms.sform_code.to_le_bytes());
    put(256, forms.quaternion.map(float).as_flattened());
    put(268, forms.qoffset.map(float).as_flattened());
    for (row, values) in forms.srow.into_iter().enumerate() {
        put(280 + 16 * row, values.map(float).as_flattened());
    }
    put(344, b"n+1\0");
    bytes
}
