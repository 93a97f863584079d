//! Pairs of predictions and references, by file name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bipvl_io::FileError;

use super::{CaseFailure, CaseFiles, labels::case_name};
use crate::{Error, Result};

/// Maximum number of file names in an error message.
const MAX_LISTED: usize = 5;

/// References of a folder and the predictions with the same name in another.
#[derive(Debug, Default)]
pub struct Pairing {
    /// Complete pairs, by name.
    pub cases: Vec<CaseFiles>,
    /// References without a prediction, and names with several files.
    pub failures: Vec<CaseFailure>,
    /// Predictions without a reference.
    pub unreferenced: Vec<PathBuf>,
}

impl Pairing {
    /// Pairs the label maps of two folders by file name without ending. Hidden files are skipped.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read or has no label map.
    pub fn of_folders(predictions: &Path, references: &Path) -> Result<Self> {
        let (mut predicted, expected) = (label_maps(predictions)?, label_maps(references)?);
        let mut pairing = Self::default();
        for (case, files) in expected {
            let pair = unique(&case, files).and_then(|reference| match predicted.remove(&case) {
                Some(files) => {
                    Ok(CaseFiles { prediction: unique(&case, files)?, reference, case: case.clone() })
                }
                None => Err(Error::MissingPrediction {
                    case: case.clone(),
                    folder: predictions.to_owned(),
                    reference,
                }),
            });
            match pair {
                Ok(pair) => pairing.cases.push(pair),
                Err(error) => pairing.failures.push(CaseFailure { case, error, files: None }),
            }
        }
        pairing.unreferenced = predicted.into_values().flatten().collect();
        Ok(pairing)
    }
}

/// The label maps of a folder by name without ending.
fn label_maps(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let entries = fs::read_dir(folder).map_err(|error| FileError::new(folder, error))?;
    let (mut files, mut others) = (BTreeMap::<String, Vec<PathBuf>>::new(), Vec::new());
    for entry in entries {
        let path = entry.map_err(|error| FileError::new(folder, error))?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file_name.starts_with('.') {
            continue;
        }
        match case_name(&path) {
            Some(name) => files.entry(name).or_default().push(path),
            None => others.push(file_name),
        }
    }
    if files.is_empty() {
        others.sort();
        others.truncate(MAX_LISTED);
        return Err(Error::NoLabelMaps { folder: folder.to_owned(), other_files: others });
    }
    Ok(files)
}

fn unique(case: &str, mut files: Vec<PathBuf>) -> Result<PathBuf> {
    files.sort();
    match &mut files[..] {
        [_] => Ok(files.remove(0)),
        [first, second, ..] => Err(Error::DuplicateCase {
            case: case.to_owned(),
            first: std::mem::take(first),
            second: std::mem::take(second),
        }),
        [] => unreachable!("a name is listed with its file"),
    }
}
