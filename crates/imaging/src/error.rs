//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

use crate::formats::{Format, MAX_FILE_BYTES, endings, writable_endings};

/// The result of reading and writing images.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image could not be read or written. `path` is the file; `<bytes>` for data in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// The content is in no known format.
    #[error("{}: unknown image format; supported are {}", path.display(), endings())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// No format is written under this file ending.
    #[error("{}: unknown file ending; images are written as {}", path.display(), writable_endings())]
    UnknownEnding {
        /// The file to write.
        path: PathBuf,
    },
    /// The file ends within its header.
    #[error("{}: truncated {format} header", path.display())]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
    },
    /// A header field is missing, malformed or contradicts others.
    #[error("{}: invalid {format} header: {field} is {value}, should be {expected}", path.display())]
    InvalidHeader {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// The field, as the format names it.
        field: &'static str,
        /// Its value.
        value: String,
        /// Valid values.
        expected: &'static str,
    },
    /// A valid feature of the format that is not implemented.
    #[error("{}: unsupported {format} {feature} {value}; supported: {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: Format,
        /// What is not supported.
        feature: &'static str,
        /// Its value.
        value: String,
        /// Supported values.
        supported: &'static str,
    },
    /// Axes without voxels, too few or too many axes.
    #[error("{}: shape {shape:?} is not supported; an image has three axes of at least one voxel, and at most one more for channels", path.display())]
    InvalidShape {
        /// The file.
        path: PathBuf,
        /// Length of each axis.
        shape: Vec<i64>,
    },
    /// More voxels than can be read.
    #[error("{}: {num_channels} channels of shape {shape:?} have more than {} voxels", path.display(), crate::MAX_VOXELS)]
    TooManyVoxels {
        /// The file.
        path: PathBuf,
        /// Voxels per axis.
        shape: [usize; 3],
        /// Number of channels.
        num_channels: usize,
    },
    /// An affine that is not finite or not invertible.
    #[error("{}: affine {rows:?} is not finite or not invertible", path.display())]
    SingularAffine {
        /// The file.
        path: PathBuf,
        /// Rows of the affine.
        rows: Box<[[f64; 4]; 3]>,
    },
    /// A spacing of 0 mm.
    #[error("{}: spacing of axis {axis} is 0 mm; correct the header, every distance depends on it", path.display())]
    ZeroSpacing {
        /// The file.
        path: PathBuf,
        /// The axis, from 0.
        axis: usize,
    },
    /// The file, or its content after decompression, exceeds the limit.
    #[error("{}: larger than {} GiB", path.display(), MAX_FILE_BYTES >> 30)]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Compressed data that cannot be decompressed.
    #[error("{}: {reason}", path.display())]
    Decompression {
        /// The file.
        path: PathBuf,
        /// State of the compressed data.
        reason: DecompressionError,
    },
    /// The file ends before its last voxel.
    #[error("{}: truncated: {found} of {expected} bytes of voxels", path.display())]
    TruncatedVoxels {
        /// The file with the voxels.
        path: PathBuf,
        /// Bytes in the file.
        found: usize,
        /// Bytes by shape and voxel type.
        expected: usize,
    },
    /// Intensities that are not finite as float32.
    #[error("{}: {count} of {total} intensities are not finite, the first is {first}", path.display())]
    NonFiniteIntensities {
        /// The file.
        path: PathBuf,
        /// Invalid voxels.
        count: usize,
        /// All voxels.
        total: usize,
        /// The first invalid value.
        first: f64,
    },
    /// Voxels that are no labels.
    #[error("{}: {count} of {total} labels are not integers from 0 to 65535, the first is {first}", path.display())]
    InvalidLabels {
        /// The file.
        path: PathBuf,
        /// Invalid voxels.
        count: usize,
        /// All voxels.
        total: usize,
        /// The first invalid value.
        first: f64,
    },
    /// A label map with several channels.
    #[error("{}: a label map has one channel, this file has {num_channels}", path.display())]
    MultipleChannels {
        /// The file.
        path: PathBuf,
        /// Number of channels.
        num_channels: usize,
    },
    /// The header refers to a data file that does not exist.
    #[error("{}: data file {} does not exist", path.display(), data_file.display())]
    MissingDataFile {
        /// The header file.
        path: PathBuf,
        /// The file with the voxels.
        data_file: PathBuf,
    },
    /// A header in memory refers to a data file.
    #[error("the header refers to the data file {}; read such images from their path", data_file.display())]
    DetachedData {
        /// The file with the voxels.
        data_file: PathBuf,
    },
}

/// Why compressed data could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressionError {
    /// A stream that ends early or fails its checksum.
    #[error("the compressed data is truncated or damaged")]
    Damaged,
    /// More data than the limit.
    #[error("the data decompresses to more than expected")]
    TooLarge,
    /// Bytes after the last gzip member.
    #[error("{0} bytes after the compressed data are not gzip")]
    TrailingBytes(usize),
}

impl Error {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }
}
