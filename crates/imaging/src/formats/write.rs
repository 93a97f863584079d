//! Writes images.
//!
//! `tests/reference/written.py` compares what nibabel 5.4.2, SimpleITK 2.5.7 and pynrrd 1.1.3 read from files of every
//! ending with their source: voxels, scalar type, spacing, origin and directions, for all 48 orientations, oblique and
//! left-handed axes, with and without qform and sform.

use std::path::Path;

use bipvl_io::FileTransaction;

use super::{NiftiForms, Voxel, compression, ensure_invertible, metaimage, nifti, nrrd, strip_ending};
use crate::{Error, Result, Volume};

/// How a file is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    /// qform and sform to copy into a NIfTI file; ignored unless they give the grid of the volume.
    pub nifti_forms: Option<&'a NiftiForms>,
    /// Compression where the ending does not decide it.
    pub compression: Compression,
}

/// Compression of the voxels of NRRD and MetaImage files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// gzip for NRRD, zlib for MetaImage.
    #[default]
    Deflate,
    /// None.
    None,
}

/// Writes a volume in the format of the file ending: labels as 8- or 16-bit unsigned integers (the smallest type that
/// fits), masks as 0 and 1 in 8 bits, intensities as float32, [`QuantizedProbability`](crate::QuantizedProbability) as
/// its 8 bits, with a slope of 1/255 in a NIfTI file.
///
/// The file is replaced atomically. Of a `.mhd` file the data (`.zraw`, `.raw`) are replaced first, then the header.
///
/// # Errors
///
/// When the ending is unknown, the format cannot store the grid, or the file cannot be written.
pub fn write<T: Voxel>(path: &Path, volume: &Volume<T>) -> Result<()> {
    write_with(path, volume, &WriteOptions::default())
}

/// [`write()`] with options.
///
/// # Errors
///
/// As [`write()`].
pub fn write_with<T: Voxel>(path: &Path, volume: &Volume<T>, options: &WriteOptions<'_>) -> Result<()> {
    let mut files = FileTransaction::default();
    stage(&mut files, path, volume, options)?;
    Ok(files.commit()?)
}

/// [`write_with`] into a transaction.
///
/// # Errors
///
/// As [`write()`].
pub fn stage<T: Voxel>(
    files: &mut FileTransaction,
    path: &Path,
    volume: &Volume<T>,
    options: &WriteOptions<'_>,
) -> Result<()> {
    let unknown = || Error::UnknownEnding { path: path.to_owned() };
    let (_, ending) = strip_ending(path).ok_or_else(unknown)?;
    let grid = volume.grid();
    if grid.shape().contains(&0) {
        return Err(Error::InvalidShape {
            path: path.to_owned(),
            shape: grid.shape().map(|n| n as i64).to_vec(),
        });
    }
    ensure_invertible(path, grid)?;
    let voxels = T::encode(volume);
    let file = match ending {
        ".nii" => nifti::encode(path, grid, voxels, options)?,
        ".nii.gz" => compression::gzip(&nifti::encode(path, grid, voxels, options)?),
        ".nrrd" => nrrd::encode(grid, &voxels, options.compression),
        ".mha" => metaimage::encode(grid, &voxels, options.compression, None),
        ".mhd" => {
            let data_file = path.with_extension(match options.compression {
                Compression::Deflate => "zraw",
                Compression::None => "raw",
            });
            let data = metaimage::encode_data(&voxels, options.compression);
            let header =
                metaimage::encode(grid, &voxels, options.compression, Some((&data_file, data.len())));
            files.stage(&data_file, &data)?;
            header
        }
        _ => return Err(unknown()),
    };
    Ok(files.stage(path, &file)?)
}
