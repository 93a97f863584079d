//! Atomic writes of files and folders, and I/O errors that name their file.

mod atomic;
mod error;
mod staged_folder;

pub use atomic::{FileTransaction, atomic_write, atomic_write_with, ensure_writable};
pub use error::FileError;
pub use staged_folder::StagedFolder;
