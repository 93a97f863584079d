//! What can be wrong with a file or a grid: which file, what was expected, what was found.

use std::path::{Path, PathBuf};

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Every variant names the file; the message says what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said. It is part of the message, so it is no `source`: chains of errors are
        /// printed whole, and would say it twice.
        reason: std::io::Error,
    },
    /// The content is not what the format or the caller needs.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
}

impl Error {
    /// The operating system refused something about `path`.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), reason }
    }

    /// The content of `path` is not as needed.
    pub fn content(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), expected: expected.into(), found: found.into() }
    }
}
