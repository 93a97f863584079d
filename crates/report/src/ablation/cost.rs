//! What a run of an ablation study costs.

use std::{fs, path::Path};

use bipvl_io::{FileError, atomic_write};
use bipvl_metrics::median;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Parameters, operations, time and memory of one run.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RunCost {
    /// Parameters of the modules that are trained.
    pub parameters: usize,
    /// Billions of floating-point operations per patch at inference.
    pub gflop_per_patch: f64,
    /// Median over the training steps.
    pub seconds_per_step: Option<f64>,
    /// Median over forward passes at inference.
    pub seconds_per_patch: f64,
    /// Fraction of that time beyond the vision network alone.
    pub text_share: f64,
    /// Peak resident memory of the training process, data included; absent where the system does not report it.
    pub peak_mib: Option<u64>,
}

impl RunCost {
    /// Reads the file of a run.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not a cost file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| FileError::new(path, error))?;
        serde_json::from_str(&text).map_err(|reason| Error::CostFile { path: path.to_owned(), reason })
    }

    /// Writes the file of a run.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(atomic_write(path, serde_json::to_string_pretty(self)?.as_bytes())?)
    }

    /// Cost of a row over its runs: medians of times, maximum of memory.
    pub(super) fn of_row(runs: &[Self]) -> Option<Self> {
        let over = |value: fn(&Self) -> f64| median(runs.iter().map(value).collect());
        Some(Self {
            seconds_per_step: median(runs.iter().filter_map(|run| run.seconds_per_step).collect()),
            seconds_per_patch: over(|run| run.seconds_per_patch)?,
            text_share: over(|run| run.text_share)?,
            peak_mib: runs.iter().filter_map(|run| run.peak_mib).max(),
            ..*runs.first()?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_the_median_time_and_the_peak_memory_of_its_runs() {
        let run = |seconds, peak| RunCost {
            parameters: 7,
            gflop_per_patch: 0.5,
            seconds_per_step: Some(seconds),
            seconds_per_patch: seconds * 2.0,
            text_share: 0.25,
            peak_mib: peak,
        };
        let runs = [run(1.0, Some(10)), run(5.0, None), run(2.0, Some(30))];
        assert_eq!(RunCost::of_row(&runs), Some(run(2.0, Some(30))));
        assert_eq!(RunCost::of_row(&[]), None);
    }
}
