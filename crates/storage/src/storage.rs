//! Fetching and storing, as blocking calls.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bipvl_io::FileError;
use object_store::ObjectStoreExt;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Cache, CacheEntry, Error, Result,
    location::Location,
    transfer::{self, Copies},
    upload,
};

/// Which files of a folder are fetched with their contents.
#[derive(Clone, Copy, Debug, Default)]
pub enum Contents {
    /// All.
    #[default]
    All,
    /// Those of which this is true; the others are files of the right name and size, filled with zeros, for those who
    /// only look whether a result exists.
    Only(fn(&Path) -> bool),
}

impl Contents {
    pub(crate) fn includes(self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Only(includes) => includes(path),
        }
    }
}

/// Object stores and web servers, with a local cache. What was fetched stays in the cache as long as this lives.
#[derive(Debug)]
pub struct Storage {
    runtime: Runtime,
    cache: Cache,
    in_use: Mutex<Vec<CacheEntry>>,
}

impl Storage {
    /// With a cache.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn new(cache: Cache) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|reason| FileError::new(Path::new("threads of transfers"), reason))?;
        Ok(Self { runtime, cache, in_use: Mutex::default() })
    }

    /// With the cache that the environment names, see [`Cache::from_env`].
    ///
    /// # Errors
    ///
    /// Without a folder for the cache.
    pub fn from_env() -> Result<Self> {
        Self::new(Cache::from_env()?)
    }

    /// The local copy of an object, or of a folder of objects. Objects that have not changed since they were fetched are
    /// not fetched again. Copies are for reading.
    ///
    /// # Errors
    ///
    /// When the URL is wrong, nothing is there, or the transfer fails.
    pub fn fetch(&self, url: &str) -> Result<PathBuf> {
        let location = Location::parse(url)?;
        let entry = self.cache.entry(&location.url)?;
        let path = self.runtime.block_on(transfer::fetch(&location, &entry.copies(), Contents::All));
        let entry = entry.share()?;
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        self.cache.trim()?;
        path
    }

    /// Where [`Self::fetch`] puts the copy.
    ///
    /// # Errors
    ///
    /// When the URL is wrong.
    pub fn local_path(&self, url: &str) -> Result<PathBuf> {
        let location = Location::parse(url)?;
        Ok(self.cache.files_of(&location.url).join(location.name()))
    }

    /// Copies a folder into the existing local folder `parent`, under its own name, where it may be changed; the copy is
    /// empty where the store has nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub fn copy_folder(&self, url: &str, parent: &Path, contents: Contents) -> Result<PathBuf> {
        let location = Location::parse(url)?;
        let copy = Copies { files: parent.to_owned(), index: None };
        match self.runtime.block_on(transfer::fetch(&location, &copy, contents)) {
            Ok(path) => Ok(path),
            Err(Error::NotFound { .. }) => {
                let folder = parent.join(location.name());
                fs::create_dir_all(&folder).map_err(|reason| FileError::new(&folder, reason))?;
                Ok(folder)
            }
            Err(error) => Err(error),
        }
    }

    /// Stores a file as the object at a path below the URL.
    ///
    /// # Errors
    ///
    /// As [`Self::store`].
    pub fn store_below(&self, file: &Path, url: &str, relative: &Path) -> Result<()> {
        let location = Location::parse(url)?.below(relative)?;
        self.runtime.block_on(upload::store(file, &location))
    }

    /// Removes the object at a path below the URL.
    ///
    /// # Errors
    ///
    /// When the URL is wrong, or the store refuses.
    pub fn remove_below(&self, url: &str, relative: &Path) -> Result<()> {
        let location = Location::parse(url)?.below(relative)?;
        let removed = self.runtime.block_on(location.store.delete(&location.path));
        removed.map_err(|reason| location.failed(&location.path, reason))
    }

    /// Stores a file as the object of the URL, or the files of a folder as the objects below it, replacing those of the
    /// same name. An object appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When the URL is wrong, the path is neither a file nor a folder, or the transfer fails.
    pub fn store(&self, path: &Path, url: &str) -> Result<()> {
        let location = Location::parse(url)?;
        self.runtime.block_on(upload::store(path, &location))
    }
}
