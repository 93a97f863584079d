//! Errors of this crate. Messages name files and what the scanner wrote of geometry and pixels, never who was scanned.

use std::path::PathBuf;

use bipvl_io::FileError;

/// The result of reading and writing DICOM.
pub type Result<T> = std::result::Result<T, Error>;

/// Why DICOM objects could not be read or written. `object` is a file, without the parts of its name that are UIDs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// A volume could not be read or written.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// A zip archive that cannot be read.
    #[error("{}: not a readable zip archive: {reason}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More files than a study can have.
    #[error("{}: more than {limit} files; give the folder of one study", path.display())]
    TooManyFiles {
        /// The folder or archive.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Nothing that can be used.
    #[error("{}: no {wanted} in DICOM; {found}", path.display())]
    NothingFound {
        /// The folder or file.
        path: PathBuf,
        /// What was looked for, such as "image series".
        wanted: &'static str,
        /// What is there instead.
        found: String,
    },
    /// Files that cannot be parsed, and so may be slices of any series.
    #[error("{}: damaged files: {count}; they may be slices of the series; repair or remove them: {damaged}", path.display())]
    DamagedFiles {
        /// The folder or archive.
        path: PathBuf,
        /// How many.
        count: usize,
        /// Each with the reason.
        damaged: String,
    },
    /// Several series, and none was chosen.
    #[error("{}: {} image series; choose one by its number, its UID, a part of its description, or `largest`:\n{series}", path.display(), .count)]
    SeveralSeries {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
        /// A line for each.
        series: String,
    },
    /// The chosen series does not exist.
    #[error("{}: `{wanted}` matches {count} image series, not one; there are:\n{series}", path.display())]
    UnknownSeries {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// How many match.
        count: usize,
        /// A line for each that is there.
        series: String,
    },
    /// A file that begins as DICOM and cannot be parsed.
    #[error("{object}: damaged DICOM: {reason}")]
    Damaged {
        /// The file.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// An attribute that is missing or cannot be right.
    #[error("{object}: {attribute} is {found}, should be {expected}")]
    Attribute {
        /// The file.
        object: String,
        /// The attribute, by its name in PS3.6.
        attribute: &'static str,
        /// Its value.
        found: String,
        /// Valid values.
        expected: &'static str,
    },
    /// Pixel data in an encoding that is not known here.
    #[error("{object}: transfer syntax {name} cannot be decoded{advice}")]
    TransferSyntax {
        /// The file.
        object: String,
        /// Its name or UID.
        name: String,
        /// What would help; begins with a separator, or is empty.
        advice: &'static str,
    },
    /// Pixel data that do not decode to the stated size.
    #[error("{object}: pixel data: {reason}")]
    PixelData {
        /// The file.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// Slices that do not make one volume.
    #[error("{series}: {problem}")]
    Slices {
        /// The series, by modality and number.
        series: String,
        /// Which slices, and what to do.
        problem: String,
    },
    /// A segmentation that does not fit the series or the format.
    #[error("{0}")]
    Unsuitable(String),
}

impl Error {
    pub(crate) fn attribute(
        object: &str,
        attribute: &'static str,
        found: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self::Attribute { object: object.to_owned(), attribute, found: found.into(), expected }
    }

    pub(crate) fn damaged(object: &str, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { object: object.to_owned(), reason: reason.to_string() }
    }
}
