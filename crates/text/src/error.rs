//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Every variant names the file and says its state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// The content is not what the format or the caller needs.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl Error {
    /// The system refused to open, read or write `path`.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }

    /// `path` holds something else than it should.
    pub fn content(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), expected: expected.into(), found: found.into() }
    }
}
