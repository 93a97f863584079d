//! What can be wrong with a file or a grid: which file, what was expected, what was found.

use std::path::PathBuf;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Every variant names the file; the message says what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
