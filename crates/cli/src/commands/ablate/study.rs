//! Rows and seeds of a study, and the table of its finished runs.

use anyhow::Result;
use bipvl::{config::Config, data::Dataset, train::ablation::Ablation};
use bipvl_report::ablation::{AblationRow, AblationTable};

use super::{
    job::{Job, Row},
    rows::missing_requirement,
};
use crate::args::AblateArgs;

/// The rows and seeds of a study, and the configuration of the full method.
pub(super) struct Study<'a> {
    pub(super) args: &'a AblateArgs,
    pub(super) dataset: Dataset,
    pub(super) rows: Vec<Ablation>,
    pub(super) seeds: Vec<u64>,
    pub(super) config: Config,
}

impl Study<'_> {
    /// Runs of the selected rows; a row with a missing requirement is skipped with a warning.
    pub(super) fn jobs(&self) -> Vec<Job<Ablation>> {
        let mut jobs = Vec::new();
        for row in self.rows.iter().filter(|row| self.selects(row)) {
            match missing_requirement(row, &self.dataset) {
                Some(requirement) => tracing::warn!("{}: skipped, requires {requirement}", row.name),
                None => jobs.extend(self.jobs_of(row)),
            }
        }
        jobs
    }

    /// All selected rows, and others with finished runs.
    pub(super) fn table(&self) -> Result<AblationTable> {
        let mut rows = Vec::new();
        for row in &self.rows {
            let finished = self
                .jobs_of(row)
                .filter_map(|job| job.finished_run(&self.args.out, &self.config).transpose());
            let finished = finished.collect::<Result<Vec<_>>>()?;
            if !finished.is_empty() || self.selects(row) {
                let note = match missing_requirement(row, &self.dataset) {
                    Some(requirement) => format!("not run: requires {requirement}"),
                    None => "no finished run".to_owned(),
                };
                rows.push(AblationRow::new(row.label(), &finished, note));
            }
        }
        let name = self.config.data.name.clone();
        Ok(AblationTable::new(name, self.evaluation_cases(), self.seeds.clone(), rows))
    }

    /// Whether `--rows` selects a row.
    fn selects(&self, row: &Ablation) -> bool {
        self.args.rows.is_empty() || self.args.rows.iter().any(|name| *name == row.name)
    }

    fn jobs_of<'a>(&'a self, row: &'a Ablation) -> impl Iterator<Item = Job<Ablation>> + 'a {
        self.seeds.iter().map(|seed| Job { row: row.clone(), seed: *seed })
    }

    /// Which cases the runs are evaluated on.
    fn evaluation_cases(&self) -> String {
        let data = &self.config.data;
        if data.split.test.is_some() || !self.dataset.test.is_empty() {
            "test cases".to_owned()
        } else if data.split.val.is_some() {
            "validation cases".to_owned()
        } else {
            format!("validation cases (fold {})", data.fold)
        }
    }
}
