//! What the network answered, a line for each case and text, kept on disk.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use bipvl_io::atomic_write;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// What one text made of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptResult {
    /// The case's id.
    pub case: String,
    /// The name of the text.
    pub variant: String,
    /// Volume in ml whose label is another than under the text as trained.
    pub changed_ml: f64,
    /// One for each class, in the network's order.
    pub classes: Vec<CaseMeasurement>,
}

/// What was found of one class in one case.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseMeasurement {
    /// Dice; a missed class has 0. `None` where the reference lacks the class, whatever was predicted: a false
    /// alarm shows in the volume.
    pub dice: Option<f64>,
    /// Volume predicted, in ml.
    pub predicted_ml: f64,
    /// Volume of the reference, in ml.
    pub reference_ml: f64,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    #[serde(flatten)]
    answer: PromptResult,
}

/// ResultCache by what they depend on, in memory and as lines of JSON in a file.
#[derive(Debug)]
pub struct ResultCache {
    path: PathBuf,
    file: File,
    known: HashMap<String, PromptResult>,
}

impl ResultCache {
    /// Opens the file, which may not be there yet. A line that was cut off is dropped.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> Result<Self> {
        let refused = |source| Error::io(path, source);
        let mut known = HashMap::new();
        if path.exists() {
            let text = fs::read(path).map_err(refused)?;
            let text = String::from_utf8_lossy(&text);
            let mut kept = String::new();
            for line in text.lines() {
                if let Ok(Line { key, answer }) = serde_json::from_str(line) {
                    known.insert(key, answer);
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
            if kept != text {
                atomic_write(path, kept.as_bytes())?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(refused)?;
        Ok(Self { path: path.to_owned(), file, known })
    }

    /// The answer that depends on this.
    pub fn get(&self, key: &str) -> Option<&PromptResult> {
        self.known.get(key)
    }

    /// Writes an answer down.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn add(&mut self, key: String, answer: PromptResult) -> Result<()> {
        let text = serde_json::to_string(&Line { key, answer }).expect("an answer has a JSON form") + "\n";
        self.file.write_all(text.as_bytes()).map_err(|source| Error::io(&self.path, source))?;
        // As the file will be read: a number may lose its last bit there.
        let Line { key, answer } = serde_json::from_str(&text).expect("an answer is read as it was written");
        self.known.insert(key, answer);
        Ok(())
    }
}

/// One name for all of these texts, in 64 letters.
pub(super) fn key<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // The length first, so that no other texts read the same one after the other.
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    format!("{:x}", hash.finalize())
}
