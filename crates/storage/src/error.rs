//! Errors of object storage.

use std::path::PathBuf;

use bipvl_io::FileError;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be fetched or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a URL of a store.
    #[error("{url}: {reason}; expected s3://BUCKET/KEY, http://HOST/PATH or https://HOST/PATH")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither an object nor a folder with objects.
    #[error("{url}: no such object, and no object below it")]
    NotFound {
        /// As it was given.
        url: String,
    },
    /// The store answered with an error, or did not answer.
    #[error("{url}: {reason}")]
    Store {
        /// As it was given, with the object below it.
        url: String,
        /// The answer.
        reason: object_store::Error,
    },
    /// No keys for a bucket: none in the environment, and the machine has no role.
    #[error(
        "{url}: no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket ({reason})"
    )]
    NoKeys {
        /// As it was given, with the object below it.
        url: String,
        /// Why the machine gave none.
        reason: object_store::Error,
    },
    /// An object ended early.
    #[error("{url}: {found} bytes arrived, the store has {expected}")]
    Truncated {
        /// Of the object.
        url: String,
        /// Bytes that the store announced.
        expected: u64,
        /// Bytes that arrived.
        found: u64,
    },
    /// A local file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No folder for the cache.
    #[error("no folder for the cache of objects: set BIPVL_CACHE")]
    NoCache,
    /// A local path that cannot be stored.
    #[error("{}: no file or folder to store", .0.display())]
    NothingToStore(PathBuf),
    /// A folder and a file of one name.
    #[error("{url}: the folder has an object and objects below its name, which no local folder can hold")]
    FolderAndFile {
        /// Of the object.
        url: String,
    },
}
