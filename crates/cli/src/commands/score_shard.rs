//! `FILE-K-of-N.json`: the scores of a shard, from which `bipvl merge` makes those of all cases.

use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl_io::{FileError, atomic_write};
use bipvl_metrics::{CaseScores, MetricConfig, Scores};
use bipvl_report::evaluate::{Evaluation, Pairing};
use serde::{Deserialize, Serialize};

use crate::shard::Shard;

/// The ending of the names of its files.
pub(crate) const ENDING: &str = "json";

/// The scores of the cases of a shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoreShard {
    pub(crate) shard: Shard,
    /// Number of cases of all shards.
    pub(crate) cases: usize,
    /// Names of the classes, in their order.
    pub(crate) classes: Vec<String>,
    scores: Scores,
    /// The diagonals of the grids of the cases in mm, which [`Scores`] leaves out.
    diagonals_mm: Vec<Option<f64>>,
    pub(crate) failures: Vec<FailedCase>,
}

/// A case that could not be scored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailedCase {
    pub(crate) case: String,
    pub(crate) error: String,
}

impl ScoreShard {
    /// The result of an evaluation of a shard.
    pub(crate) fn new(shard: Shard, cases: usize, evaluation: &Evaluation) -> Self {
        let failed = evaluation.failures.iter();
        Self {
            shard,
            cases,
            classes: evaluation.class_names(),
            diagonals_mm: evaluation.scores.cases.iter().map(|case| case.diagonal_mm).collect(),
            scores: evaluation.scores.clone(),
            failures: failed
                .map(|failure| FailedCase { case: failure.case.clone(), error: failure.to_string() })
                .collect(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| FileError::new(path, reason))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{}: not the scores of a shard of `bipvl evaluate`", path.display()))
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        Ok(atomic_write(path, serde_json::to_string_pretty(self)?.as_bytes())?)
    }

    /// How its cases were scored.
    pub(crate) fn config(&self) -> MetricConfig {
        let Scores { convention, tolerance_mm, ignore_label, .. } = self.scores;
        MetricConfig { convention, tolerance_mm, ignore_label }
    }

    /// Its cases, as they were scored.
    pub(crate) fn into_cases(self) -> impl Iterator<Item = CaseScores> {
        let cases = self.scores.cases.into_iter().zip(self.diagonals_mm);
        cases.map(|(case, diagonal_mm)| CaseScores { diagonal_mm, ..case })
    }
}

/// Leaves the cases of a shard, and returns the number of all.
pub(crate) fn keep(pairing: &mut Pairing, shard: Shard) -> usize {
    let complete = pairing.cases.iter().map(|files| &files.case);
    let names: BTreeSet<String> =
        complete.chain(pairing.failures.iter().map(|failure| &failure.case)).cloned().collect();
    let count = names.len();
    let own = names.into_iter().enumerate().filter(|(place, _)| shard.has(*place));
    let own: HashSet<String> = own.map(|(_, name)| name).collect();
    pairing.cases.retain(|files| own.contains(&files.case));
    pairing.failures.retain(|failure| own.contains(&failure.case));
    if shard.index > 0 {
        // Said once.
        pairing.unreferenced.clear();
    }
    count
}

/// The file of a shard, for that of all.
pub(crate) fn shard_path(all: &Path, shard: Shard) -> PathBuf {
    let name = all.file_stem().unwrap_or_default().to_string_lossy();
    all.with_file_name(shard.file_name(&name, ENDING))
}
