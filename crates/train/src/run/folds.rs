//! A cross-validation on disk: a folder with one run for each fold, and a file that says how many.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_io::atomic_write;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The file that makes a folder a cross-validation.
const FILE: &str = "folds.toml";

/// What `folds.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folds {
    /// How many folds, each a run in `fold-0`, `fold-1`, …
    pub count: usize,
    /// The folder of the BERT that every fold begins with.
    pub text_encoder: Option<PathBuf>,
    /// The published weights that every fold begins with.
    pub weights: Option<PathBuf>,
}

impl Folds {
    /// Whether a folder is a cross-validation.
    pub fn exists_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// Reads what a folder says of its folds.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is malformed.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
        let folds: Self = toml::from_str(&text)
            .map_err(|error| Error::content(&path, "the folds of a cross-validation", error.message()))?;
        if folds.count < 2 {
            return Err(Error::content(&path, "a count of at least 2", folds.count.to_string()));
        }
        Ok(folds)
    }

    /// Writes the file; after that the folder is a cross-validation.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).expect("folds have a TOML form");
        Ok(atomic_write(&folder.join(FILE), text.as_bytes())?)
    }

    /// The folders of the runs, in order.
    pub fn run_dirs(&self, folder: &Path) -> Vec<PathBuf> {
        (0..self.count).map(|fold| folder.join(format!("fold-{fold}"))).collect()
    }
}

/// The runs that a folder stands for: those of its folds, or itself.
///
/// # Errors
///
/// As [`Folds::read`].
pub fn run_dirs(folder: &Path) -> Result<Vec<PathBuf>> {
    if Folds::exists_in(folder) {
        Ok(Folds::read(folder)?.run_dirs(folder))
    } else {
        Ok(vec![folder.to_owned()])
    }
}
