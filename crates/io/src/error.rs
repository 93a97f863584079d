//! I/O errors with their path.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A file or directory could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// The error of the operating system. It is part of the message and therefore no `source`: reports that print
    /// the whole chain would repeat it.
    pub reason: io::Error,
}

impl FileError {
    /// An error about `path`.
    pub fn new(path: &Path, reason: io::Error) -> Self {
        Self { path: path.to_owned(), reason }
    }
}
