//! A cross-validation on disk: a directory with one run per fold, and a file with their number.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_io::{FileError, atomic_write};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The file that marks a directory as a cross-validation.
const FILE: &str = "folds.toml";

/// The content of `folds.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folds {
    /// Number of folds; the runs are `fold-0`, `fold-1`, …
    pub count: usize,
}

impl Folds {
    /// Whether a directory is a cross-validation.
    pub fn exists_in(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// Reads the `folds.toml` of a directory.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is invalid.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path).map_err(|reason| FileError::new(&path, reason))?;
        let folds: Self =
            toml::from_str(&text).map_err(|error| Error::config_syntax(&path, &error, &text))?;
        if folds.count < 2 {
            return Err(Error::config_value(&path, "count", folds.count, "at least 2"));
        }
        Ok(folds)
    }

    /// Writes the file, which makes the directory a cross-validation.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).expect("folds have a TOML form");
        Ok(atomic_write(&dir.join(FILE), text.as_bytes())?)
    }

    /// The run directories, in order.
    pub fn run_dirs(&self, dir: &Path) -> Vec<PathBuf> {
        (0..self.count).map(|fold| dir.join(format!("fold-{fold}"))).collect()
    }
}

/// The runs of a directory: those of a cross-validation, or the directory itself.
///
/// # Errors
///
/// As [`Folds::read`].
pub fn run_dirs(dir: &Path) -> Result<Vec<PathBuf>> {
    if Folds::exists_in(dir) { Ok(Folds::read(dir)?.run_dirs(dir)) } else { Ok(vec![dir.to_owned()]) }
}
