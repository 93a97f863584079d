//! Files with the scores of an evaluation.

use std::path::Path;

use bipvl_io::atomic_write;
use bipvl_metrics::Scores;

use crate::{Result, folds::FoldScores, table};

/// Writes scores as one JSON file.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_json(path: &Path, scores: &Scores) -> Result<()> {
    Ok(atomic_write(path, serde_json::to_string_pretty(scores)?.as_bytes())?)
}

/// Writes `scores.json` and `scores.md` into a folder, and `folds.json` for a cross-validation.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_all(
    folder: &Path,
    scores: &Scores,
    classes: &[String],
    folds: Option<&FoldScores>,
) -> Result<()> {
    write_json(&folder.join("scores.json"), scores)?;
    let mut markdown = table::markdown(scores, classes);
    if let Some(folds) = folds {
        let json = serde_json::to_string_pretty(&folds.json())?;
        atomic_write(&folder.join("folds.json"), json.as_bytes())?;
        markdown = format!("{markdown}\n{}", folds.markdown(classes));
    }
    Ok(atomic_write(&folder.join("scores.md"), markdown.as_bytes())?)
}
