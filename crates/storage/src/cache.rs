//! The local cache: one folder per URL, locked while in use, the longest unused removed first.

use std::{
    env, fs,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bipvl_io::FileError;
use sha2::{Digest, Sha256};

use crate::{Error, Result, transfer::Copies};

/// GiB of the cache unless `BIPVL_CACHE_GIB` says otherwise.
const DEFAULT_LIMIT_GIB: u64 = 50;
const GIB: u64 = 1 << 30;
/// Held shared by those who read an entry, exclusively by who changes it.
const LOCK: &str = "lock";
const FILES: &str = "files";

/// Local copies of objects.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
}

/// The copy of one URL; while this lives, no other process changes or removes it.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    folder: PathBuf,
    lock: File,
}

impl Cache {
    /// In `folder`, with at most `limit` bytes when nothing more is in use.
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit }
    }

    /// In `BIPVL_CACHE`, else in the user's folder for caches; of `BIPVL_CACHE_GIB` GiB, else 50.
    ///
    /// # Errors
    ///
    /// When neither variable nor a home folder is set.
    pub fn from_env() -> Result<Self> {
        let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = path("BIPVL_CACHE")
            .or_else(|| path("XDG_CACHE_HOME").map(|folder| folder.join("bipvl")))
            .or_else(|| path("HOME").map(|folder| folder.join(".cache/bipvl")))
            .ok_or(Error::NoCache)?;
        let limit = env::var("BIPVL_CACHE_GIB").ok().and_then(|value| value.parse().ok());
        Ok(Self::new(folder, limit.unwrap_or(DEFAULT_LIMIT_GIB) * GIB))
    }

    /// Where the files of a URL are.
    pub(crate) fn files_of(&self, url: &str) -> PathBuf {
        self.folder.join(hash(url)).join(FILES)
    }

    /// The entry of a URL, for this process alone until it is shared.
    pub(crate) fn entry(&self, url: &str) -> Result<CacheEntry> {
        let folder = self.folder.join(hash(url));
        let about = |reason| FileError::new(&folder, reason);
        fs::create_dir_all(folder.join(FILES)).map_err(about)?;
        let lock = folder.join(LOCK);
        let about = |reason| FileError::new(&lock, reason);
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(about)?;
        file.lock().map_err(about)?;
        // The time of its last use.
        file.set_modified(SystemTime::now()).map_err(about)?;
        fs::create_dir_all(folder.join(FILES)).map_err(about)?;
        Ok(CacheEntry { folder, lock: file })
    }

    /// Removes the longest unused entries until `limit` is kept; those in use stay.
    pub(crate) fn trim(&self) -> Result<()> {
        let mut entries = Vec::new();
        for entry in read_dir(&self.folder)? {
            let lock = entry.join(LOCK);
            let Ok(used) = fs::metadata(&lock).and_then(|about| about.modified()) else { continue };
            entries.push((used, size(&entry)?, entry));
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, folder) in entries {
            if total <= self.limit {
                break;
            }
            if remove_unused(&folder)? {
                total -= size;
            }
        }
        Ok(())
    }
}

impl CacheEntry {
    /// Where its files are.
    pub(crate) fn copies(&self) -> Copies {
        Copies { files: self.folder.join(FILES), index: Some(self.folder.join("index.json")) }
    }

    /// Lets other processes read it, too.
    pub(crate) fn share(self) -> Result<Self> {
        let about = |reason| FileError::new(&self.folder, reason);
        self.lock.unlock().map_err(about)?;
        self.lock.lock_shared().map_err(about)?;
        Ok(self)
    }
}

/// Removes an entry that nobody uses; whether it was.
fn remove_unused(folder: &Path) -> Result<bool> {
    let lock = folder.join(LOCK);
    let Ok(file) = File::options().write(true).open(&lock) else { return Ok(false) };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(reason)) => return Err(FileError::new(&lock, reason).into()),
    }
    // The lock file stays: a process that waits for it must not find itself with a lock of a removed file.
    for path in read_dir(folder)?.into_iter().filter(|path| *path != lock) {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|reason| FileError::new(&path, reason))?;
    }
    Ok(true)
}

fn read_dir(folder: &Path) -> Result<Vec<PathBuf>> {
    let about = |reason| FileError::new(folder, reason);
    let entries = fs::read_dir(folder).map_err(about)?;
    entries.map(|entry| Ok(entry.map_err(about)?.path())).collect()
}

fn size(path: &Path) -> Result<u64> {
    let about = fs::symlink_metadata(path).map_err(|reason| FileError::new(path, reason))?;
    if !about.is_dir() {
        return Ok(about.len());
    }
    read_dir(path)?.iter().map(|path| size(path)).sum()
}

fn hash(url: &str) -> String {
    format!("{:x}", Sha256::digest(url.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"), 1500);
        let write = |url: &str| {
            let entry = cache.entry(url).unwrap();
            fs::write(entry.copies().files.join("a"), [0; 1000]).unwrap();
            entry
        };
        let used = write("s3://b/used").share().unwrap();
        drop(write("s3://b/old"));
        drop(write("s3://b/new"));
        cache.trim().unwrap();
        let is_there = |url: &str| cache.folder.join(hash(url)).join(FILES).join("a").exists();
        assert!(is_there("s3://b/used"), "in use, though the oldest");
        assert!(!is_there("s3://b/old") && !is_there("s3://b/new"), "1000 bytes are in use, 500 are left");
        drop(used);
        assert!(
            cache.entry("s3://b/old").unwrap().copies().files.is_dir(),
            "an emptied entry can be filled again"
        );
    }
}
