//! An I/O error with the path it is about.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The operating system refused to open, read or write a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said. It is part of the message, so it is no `source`: error chains are printed whole, and
    /// would say it twice.
    pub reason: io::Error,
}

impl FileError {
    /// An error about `path`.
    pub fn new(path: &Path, reason: io::Error) -> Self {
        Self { path: path.to_owned(), reason }
    }
}
