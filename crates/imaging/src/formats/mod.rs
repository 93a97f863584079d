//! Reads and writes image files. The format is detected from the content; the file ending decides only for writing
//! and for `.hdr`/`.img` pairs.
//!
//! Each format is one file (NIfTI one folder) of this folder, and one variant of [`Format`].

mod gzip;
mod nifti;
mod options;

use std::path::Path;

pub use options::{Compression, WriteOptions};

use crate::{Grid, LabelMap, Result, Volume};

/// An image file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// NIfTI-1 and NIfTI-2: `.nii`, `.nii.gz`, `.hdr` with `.img`.
    Nifti,
}

/// File endings of images, in lower case, and the format that each is usually in. Of a `.hdr`/`.img` pair only the
/// header is listed, so that a pair counts as one file.
pub const ENDINGS: [(&str, Format); 2] = [(".nii.gz", Format::Nifti), (".nii", Format::Nifti)];

/// The name of an image file without its ending, and the ending from [`ENDINGS`]; `None` if the ending is not
/// listed. Case-insensitive; characters of the name that are not UTF-8 are replaced.
pub fn strip_ending(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_string_lossy();
    ENDINGS.iter().find_map(|(ending, _)| {
        let at = name.len().checked_sub(ending.len())?;
        let is_match = name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(ending);
        is_match.then(|| (name[..at].to_owned(), *ending))
    })
}

/// The ending to write when an image had `ending`: the same, or that of a single file in the same format.
pub fn output_ending(ending: &'static str) -> &'static str {
    ending
}

/// What the header of an image file contains.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// The format of the file.
    pub format: Format,
    /// Shape and affine.
    pub grid: Grid,
    /// Number of channels (volumes) on the grid.
    pub num_channels: usize,
    /// qform and sform, for NIfTI.
    pub nifti_forms: Option<NiftiForms>,
}

/// The two transforms of a NIfTI header, in mm, to be copied to files on the same grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NiftiForms {
    /// Code of the qform: 0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI, 5 other template.
    pub qform_code: i16,
    /// Code of the sform.
    pub sform_code: i16,
    /// `pixdim[0]` (handedness of the qform) and the spacing.
    pub pixdim: [f64; 4],
    /// `quatern_b`, `quatern_c`, `quatern_d`.
    pub quaternion: [f64; 3],
    /// `qoffset_x`, `qoffset_y`, `qoffset_z`.
    pub qoffset: [f64; 3],
    /// `srow_x`, `srow_y`, `srow_z`.
    pub srow: [[f64; 4]; 3],
}

/// An image with its header.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// The header of the file.
    pub header: Header,
    /// Intensities, one volume per channel, on one grid.
    pub channels: Vec<Volume<f32>>,
}

/// Reads intensities.
///
/// # Errors
///
/// When the file cannot be read, is damaged, is in no known format, or has voxels that are not finite.
pub fn read(path: &Path) -> Result<Image> {
    let channels = nifti::read_image(path)?;
    Ok(Image { header: probe(path)?, channels })
}

/// Reads labels.
///
/// # Errors
///
/// As [`read`], and when there is more than one channel or a voxel is not an integer from 0 to 65535.
pub fn read_labels(path: &Path) -> Result<LabelMap> {
    nifti::read_labels(path)
}

/// Reads the header only.
///
/// # Errors
///
/// When the file cannot be read, or its header is invalid. Voxels are not checked.
pub fn probe(path: &Path) -> Result<Header> {
    nifti::probe(path)
}

/// Writes a volume in the format of the file ending, atomically: labels as 8- or 16-bit integers (the smaller type
/// that fits), intensities as float32.
///
/// # Errors
///
/// When the ending is unknown, the grid cannot be stored, or the file cannot be written.
pub fn write<T: Voxel>(path: &Path, volume: &Volume<T>) -> Result<()> {
    write_with(path, volume, &WriteOptions::default())
}

/// [`write`] with options.
///
/// # Errors
///
/// As [`write`].
pub fn write_with<T: Voxel>(path: &Path, volume: &Volume<T>, options: &WriteOptions<'_>) -> Result<()> {
    let _ = options;
    T::write(path, volume)
}

/// A voxel type that can be written.
pub trait Voxel: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn write(path: &Path, volume: &Volume<Self>) -> Result<()>;
}

impl Voxel for u16 {
    fn write(path: &Path, volume: &Volume<Self>) -> Result<()> {
        nifti::write_labels(path, volume)
    }
}

impl Voxel for f32 {
    fn write(path: &Path, volume: &Volume<Self>) -> Result<()> {
        nifti::write_image(path, volume)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for f32 {}
}
