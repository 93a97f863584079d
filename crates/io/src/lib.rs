//! Atomic file writes, and I/O errors that name their file.

mod atomic;
mod error;

pub use atomic::{FileTransaction, atomic_write, atomic_write_with, ensure_writable};
pub use error::FileError;
