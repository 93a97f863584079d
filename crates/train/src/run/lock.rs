//! Keeps two processes from training the same run.

use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
    path::Path,
};

use super::RunDir;
use crate::{Error, Result};

/// An exclusive lock on a run directory, released on drop and at the end of the process.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the open file holds the lock")] File);

impl RunLock {
    /// Locks a run directory for training.
    ///
    /// # Errors
    ///
    /// [`Error::RunLocked`] if another process has the lock, or when the lock file cannot be created.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join("lock");
        let file = File::create(&path).map_err(|reason| Error::io(&path, reason))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            // Some file systems of clusters have no locks; there the scheduler alone keeps two processes apart.
            Err(TryLockError::Error(reason)) if reason.kind() == ErrorKind::Unsupported => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::RunLocked { dir: dir.to_owned() }),
            Err(TryLockError::Error(reason)) => Err(Error::io(&path, reason)),
        }
    }
}

impl RunDir {
    /// Locks the run for training.
    ///
    /// # Errors
    ///
    /// As [`RunLock::acquire`].
    pub fn lock(&self) -> Result<RunLock> {
        RunLock::acquire(self.dir())
    }
}
