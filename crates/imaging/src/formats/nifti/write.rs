//! Files out: a header of our own making, the voxels, and a rename at the end.

use std::path::Path;

use nifti::{NiftiHeader, NiftiType};

use super::super::gzip;
use super::header::{HEADER_BYTES, MAX_LENGTH, VOXEL_OFFSET, check_affine};
use super::memory_order::reverse_axes;
use crate::{Error, Grid, Result, Volume};
use bipvl_io::atomic_write;

/// The code of millimeters in `xyzt_units`.
const MILLIMETERS: u8 = 2;

/// Writes `volume` to `path`, each voxel as the `BYTES` bytes that `bytes_of` makes of it.
pub(super) fn write<T, const BYTES: usize>(
    path: &Path,
    volume: &Volume<T>,
    datatype: NiftiType,
    bytes_of: fn(T) -> [u8; BYTES],
) -> Result<()>
where
    T: Copy + Sync,
    [u8; BYTES]: Default,
{
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let is_packed = name.ends_with(".nii.gz");
    if !is_packed && path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("nii")) {
        return Err(Error::content(path, "a name that ends with .nii or .nii.gz", "another"));
    }
    let header = header(path, volume.grid(), datatype)?;
    let mut bytes = header_bytes(&header).to_vec();
    let voxels = volume.voxels().as_standard_layout();
    let voxels = voxels.as_slice().expect("the standard layout is contiguous");
    bytes.extend_from_slice(reverse_axes(voxels, volume.grid().shape(), bytes_of).as_flattened());
    if is_packed {
        bytes = gzip::pack(&bytes);
    }
    Ok(atomic_write(path, &bytes)?)
}

fn header(path: &Path, grid: &Grid, datatype: NiftiType) -> Result<NiftiHeader> {
    let shape = grid.shape();
    if shape.iter().any(|&length| length == 0 || length > MAX_LENGTH) {
        return Err(Error::content(path, "axes of 1 to 32767 voxels", format!("the shape {shape:?}")));
    }
    check_affine(path, grid.affine())?;
    let [x, y, z] = shape.map(|length| length as u16);
    let mut header = NiftiHeader {
        dim: [3, x, y, z, 1, 1, 1, 1],
        datatype: datatype as i16,
        bitpix: (8 * datatype.size_of()) as i16,
        scl_slope: 1.0,
        xyzt_units: MILLIMETERS,
        ..NiftiHeader::default()
    };
    header.set_affine(grid.affine());
    Ok(header)
}

/// The header in little-endian order, with the four bytes that say that no extension follows. Fields
/// we never set stay zero.
fn header_bytes(header: &NiftiHeader) -> [u8; VOXEL_OFFSET] {
    let mut bytes = [0; VOXEL_OFFSET];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
    put(0, &(HEADER_BYTES as i32).to_le_bytes());
    put(38, b"r");
    put(40, header.dim.map(u16::to_le_bytes).as_flattened());
    put(70, &header.datatype.to_le_bytes());
    put(72, &header.bitpix.to_le_bytes());
    put(76, header.pixdim.map(f32::to_le_bytes).as_flattened());
    put(108, &(VOXEL_OFFSET as f32).to_le_bytes());
    put(112, &header.scl_slope.to_le_bytes());
    put(123, &[header.xyzt_units]);
    put(252, &header.qform_code.to_le_bytes());
    put(254, &header.sform_code.to_le_bytes());
    let quaternion = [header.quatern_b, header.quatern_c, header.quatern_d];
    put(256, quaternion.map(f32::to_le_bytes).as_flattened());
    let origin = [header.quatern_x, header.quatern_y, header.quatern_z];
    put(268, origin.map(f32::to_le_bytes).as_flattened());
    for (row, values) in [header.srow_x, header.srow_y, header.srow_z].into_iter().enumerate() {
        put(280 + 16 * row, values.map(f32::to_le_bytes).as_flattened());
    }
    put(344, b"n+1\0");
    bytes
}
