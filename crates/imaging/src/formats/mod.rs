//! Image files. The format is detected from the content; the file ending decides only for writing and for
//! `.hdr`/`.img` pairs.
//!
//! Each format is one file (NIfTI a folder) beside this one, and one variant of [`Format`]: it parses a header into
//! `Parsed` and encodes a volume into files. Bytes, compression and voxels are common to all.

mod compression;
mod metaimage;
mod nifti;
mod nrrd;
mod read;
mod source;
mod text;
mod voxels;
mod write;

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

pub use nifti::NiftiForms;
pub use read::{probe, read, read_labels};
pub use source::Source;
pub use voxels::{EncodedVoxels, Voxel, VoxelType};
pub use write::{Compression, WriteOptions, stage, write, write_with};

use crate::{Error, Grid, Result, Volume};
use source::Content;
use voxels::{ByteOrder, ChannelOrder};

/// The largest file, also after decompression: 8 GiB.
pub(crate) const MAX_FILE_BYTES: usize = 8 << 30;

/// An image file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// NIfTI-1 and NIfTI-2.
    Nifti,
    /// NRRD, also with a detached header (NHDR).
    Nrrd,
    /// MetaImage.
    MetaImage,
}

/// File endings of images, lower case, with the format that usually has them. Of a `.hdr`/`.img` pair only the header
/// is listed, so that a pair counts as one image.
pub const ENDINGS: [(&str, Format); 8] = [
    (".nii.gz", Format::Nifti),
    (".nii", Format::Nifti),
    (".hdr", Format::Nifti),
    (".hdr.gz", Format::Nifti),
    (".nrrd", Format::Nrrd),
    (".nhdr", Format::Nrrd),
    (".mha", Format::MetaImage),
    (".mhd", Format::MetaImage),
];

impl Format {
    const ALL: [Self; 3] = [Self::Nifti, Self::Nrrd, Self::MetaImage];

    /// The format of a file that begins with `head`.
    fn detect(head: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|format| match format {
            Self::Nifti => nifti::is_nifti(head),
            Self::Nrrd => nrrd::is_nrrd(head),
            Self::MetaImage => metaimage::is_metaimage(head),
        })
    }

    fn parse(self, content: &Content<'_>) -> Result<Parsed> {
        let (path, bytes) = (&*content.path, &*content.bytes);
        match self {
            Self::Nifti => nifti::parse(path, bytes),
            Self::Nrrd => nrrd::parse(path, bytes),
            Self::MetaImage => metaimage::parse(path, bytes),
        }
    }

    fn invalid(
        self,
        path: &Path,
        field: &'static str,
        value: impl Into<String>,
        expected: &'static str,
    ) -> Error {
        Error::InvalidHeader { path: path.to_owned(), format: self, field, value: value.into(), expected }
    }
}

impl Display for Format {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nifti => "NIfTI",
            Self::Nrrd => "NRRD",
            Self::MetaImage => "MetaImage",
        })
    }
}

/// The formats and their endings, for messages.
pub(crate) fn endings() -> String {
    let of_format = |format: Format| {
        let endings = ENDINGS.iter().filter(|(_, other)| *other == format).map(|(ending, _)| *ending);
        format!("{format} ({})", endings.collect::<Vec<_>>().join(", "))
    };
    Format::ALL.map(of_format).join(", ")
}

/// The endings that images are written with, for messages.
pub(crate) fn writable_endings() -> String {
    let writable = ENDINGS.iter().filter(|(ending, _)| output_ending(ending) == *ending);
    writable.map(|(ending, _)| *ending).collect::<Vec<_>>().join(", ")
}

/// The name of an image file without its ending, and the ending as in [`ENDINGS`]; `None` for other endings.
///
/// Case does not matter. Characters of the name that are not UTF-8 are replaced.
pub fn strip_ending(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_string_lossy();
    ENDINGS.iter().find_map(|(ending, _)| {
        let length = name.len().checked_sub(ending.len())?;
        let is_match = name.is_char_boundary(length) && name[length..].eq_ignore_ascii_case(ending);
        is_match.then(|| (name[..length].to_owned(), *ending))
    })
}

/// The ending to write a result with whose input had `ending`: the same, or for header files the one of a single file
/// in the same format.
pub fn output_ending(ending: &str) -> &str {
    match ending {
        ".hdr" => ".nii",
        ".hdr.gz" => ".nii.gz",
        ".nhdr" => ".nrrd",
        other => other,
    }
}

/// The header of an image file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// The format of the file.
    pub format: Format,
    /// Shape and affine; lengths in mm.
    pub grid: Grid,
    /// Number of channels: volumes on the grid.
    pub num_channels: usize,
    /// Scalar type of the stored voxels.
    pub voxel_type: VoxelType,
    /// qform and sform of a NIfTI file.
    pub nifti_forms: Option<NiftiForms>,
}

/// Intensities with the header of their file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// The header of the file.
    pub header: Header,
    /// One volume per channel, all on the grid of the header.
    pub channels: Vec<Volume<f32>>,
}

/// A header and the location of its voxels.
struct Parsed {
    header: Header,
    layout: Layout,
    location: Location,
}

/// How voxels are stored.
#[derive(Clone, Copy)]
struct Layout {
    byte_order: ByteOrder,
    channels: ChannelOrder,
    /// Intensity = stored value × slope + intercept.
    slope: f64,
    intercept: f64,
}

impl Layout {
    /// Stored values are intensities.
    fn unscaled(byte_order: ByteOrder, channels: ChannelOrder) -> Self {
        Self { byte_order, channels, slope: 1.0, intercept: 0.0 }
    }
}

/// Where the voxels are.
struct Location {
    files: Files,
    /// Lines to skip, before decompression.
    line_skip: usize,
    compression: StoredCompression,
    /// Bytes to skip, after decompression.
    skip: Skip,
}

enum Files {
    /// After the header, from this byte on.
    Inline(usize),
    /// In other files, one after the other; relative to the folder of the header.
    Detached(Vec<PathBuf>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StoredCompression {
    None,
    Gzip,
    /// A zlib or gzip stream.
    Zlib,
    /// Gzip if the file begins as gzip does.
    Detect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Bytes(usize),
    /// The voxels are the last bytes of the file.
    ToEnd,
}

fn ensure_invertible(path: &Path, grid: &Grid) -> Result<()> {
    let affine = grid.affine();
    if affine.iter().all(|value| value.is_finite()) && affine.try_inverse().is_some() {
        return Ok(());
    }
    let rows = std::array::from_fn(|row| std::array::from_fn(|column| affine[(row, column)]));
    Err(Error::SingularAffine { path: path.to_owned(), rows: Box::new(rows) })
}
