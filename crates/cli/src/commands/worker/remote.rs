//! Scans and results of studies in object stores and on web servers.

#[cfg(not(feature = "object-store"))]
pub(super) use without::*;

#[cfg(feature = "object-store")]
pub(super) use bipvl_storage::Storage;

#[cfg(feature = "object-store")]
use std::{
    fs,
    path::{Path, PathBuf},
};

#[cfg(feature = "object-store")]
use bipvl_storage::Error;
#[cfg(feature = "object-store")]
use bipvl_worker::Failure;

/// The local copy of an object or folder; `storage` keeps it, and is made at the first use.
#[cfg(feature = "object-store")]
pub(super) fn fetch(storage: &mut Option<Storage>, url: &str) -> Result<PathBuf, Failure> {
    let storage = match storage {
        Some(storage) => storage,
        None => storage.insert(Storage::from_env().map_err(failure)?),
    };
    storage.fetch(url).map_err(failure)
}

/// What an object holds, if there is one.
#[cfg(feature = "object-store")]
pub(super) fn read(url: &str) -> Result<Option<Vec<u8>>, Failure> {
    let storage = Storage::from_env().map_err(failure)?;
    match storage.fetch(url) {
        Ok(path) => {
            fs::read(&path).map(Some).map_err(|reason| Failure::Transient(format!("{url}: {reason}")))
        }
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

/// Stores files of a folder, one after the other.
#[cfg(feature = "object-store")]
pub(super) fn store(folder: &Path, files: &[PathBuf], url: &str) -> Result<(), Failure> {
    let storage = Storage::from_env().map_err(failure)?;
    for file in files {
        let names = file.iter().map(|name| name.to_string_lossy());
        let url = names.fold(url.to_owned(), |url, name| format!("{url}/{name}"));
        storage.store(&folder.join(file), &url).map_err(failure)?;
    }
    Ok(())
}

#[cfg(feature = "object-store")]
fn failure(error: Error) -> Failure {
    match error {
        Error::NotFound { .. } | Error::Url { .. } | Error::FolderAndFile { .. } => {
            Failure::Permanent(error.to_string())
        }
        _ => Failure::Transient(error.to_string()),
    }
}

/// What a program says that was built without object stores.
#[cfg(not(feature = "object-store"))]
mod without {
    use std::path::{Path, PathBuf};

    use bipvl_worker::Failure;

    pub(in super::super) enum Storage {}

    pub(in super::super) fn fetch(_: &mut Option<Storage>, url: &str) -> Result<PathBuf, Failure> {
        Err(missing(url))
    }

    pub(in super::super) fn read(url: &str) -> Result<Option<Vec<u8>>, Failure> {
        Err(missing(url))
    }

    pub(in super::super) fn store(_: &Path, _: &[PathBuf], url: &str) -> Result<(), Failure> {
        Err(missing(url))
    }

    fn missing(url: &str) -> Failure {
        Failure::Permanent(format!(
            "{url}: this worker was built without object stores; build it with --features object-store"
        ))
    }
}
