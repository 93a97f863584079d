//! Results on disk, one JSON line per case and prompt.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use bipvl_io::{FileError, atomic_write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;

/// The result of one prompt for one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptResult {
    /// The case's id.
    pub case: String,
    /// Name of the perturbation.
    pub variant: String,
    /// Volume in ml with another label than with the text of the training.
    pub changed_ml: f64,
    /// Per class, in the order of the network.
    pub classes: Vec<CaseMeasurement>,
}

/// One class of one case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseMeasurement {
    /// Dice, 0 for a missed class; `None` if the reference does not have the class.
    pub dice: Option<f64>,
    /// Predicted volume in ml.
    pub predicted_ml: f64,
    /// Reference volume in ml.
    pub reference_ml: f64,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct CacheLine {
    key: String,
    #[serde(flatten)]
    result: PromptResult,
}

/// Results by the hash of their inputs, in memory and in a file.
#[derive(Debug)]
pub struct ResultCache {
    path: PathBuf,
    file: File,
    results: HashMap<String, PromptResult>,
}

impl ResultCache {
    /// Opens or creates the file. A truncated line is dropped.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> Result<Self> {
        let refused = |reason| FileError::new(path, reason);
        let mut results = HashMap::new();
        if path.exists() {
            let text = fs::read(path).map_err(refused)?;
            let text = String::from_utf8_lossy(&text);
            let mut kept = String::new();
            for line in text.lines() {
                if let Ok(CacheLine { key, result }) = serde_json::from_str(line) {
                    results.insert(key, result);
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
            if kept != text {
                atomic_write(path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(refused)?;
        Ok(Self { path: path.to_owned(), file, results })
    }

    /// The result of a key.
    pub fn get(&self, key: &str) -> Option<&PromptResult> {
        self.results.get(key)
    }

    /// Appends a result.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn add(&mut self, key: String, result: PromptResult) -> Result<()> {
        let text =
            serde_json::to_string(&CacheLine { key, result }).expect("a result has a JSON form") + "\n";
        self.file.write_all(text.as_bytes()).map_err(|reason| FileError::new(&self.path, reason))?;
        // As it will be read back: a number may lose its last bit.
        let CacheLine { key, result } =
            serde_json::from_str(&text).expect("a result is read as it was written");
        self.results.insert(key, result);
        Ok(())
    }
}

/// SHA-256 of all texts, in hexadecimal.
pub(super) fn key<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length first, so that different texts cannot have the same concatenation.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    format!("{:x}", hash.finalize())
}
