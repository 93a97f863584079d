//! The split of a run: the ids of its cases, recorded so that a changed data set cannot change it.

use std::path::Path;

use bipvl_data::{Case, Dataset, Fold, LabelSchema, Split, SplitIds, verify_cases};
use bipvl_infer::DataConfig;

use super::RunDir;
use crate::{
    Error, Result,
    config::{Config, SPLIT_SEED},
};

pub(super) const FILE: &str = "split.json";

impl RunDir {
    /// The cases of the split that the run was created with.
    ///
    /// # Errors
    ///
    /// When the data set has other classes, or cases of the split are missing ([`Error::MissingCases`]).
    pub fn split(&self, dataset: &Dataset) -> Result<Split> {
        ensure_same_classes(&self.config.data, dataset)?;
        let path = self.path(FILE);
        let SplitIds { train, val, test } = SplitIds::read(&path)?;
        let mut missing = Vec::new();
        let mut find = |ids: Vec<String>| -> Vec<Case> {
            let mut cases = Vec::with_capacity(ids.len());
            for id in ids {
                match labeled_cases(dataset).find(|case| case.id == id) {
                    Some(case) => cases.push(case.clone()),
                    None => missing.push(id),
                }
            }
            cases
        };
        let split = Split { train: find(train), val: find(val), test: find(test) };
        if missing.is_empty() { Ok(split) } else { Err(Error::MissingCases { path, cases: missing }) }
    }

    /// Ids of labeled cases that are not in the split, because they were added after the run was created.
    ///
    /// # Errors
    ///
    /// When the split cannot be read.
    pub fn cases_outside_split(&self, dataset: &Dataset) -> Result<Vec<String>> {
        let SplitIds { train, val, test } = SplitIds::read(&self.path(FILE))?;
        let is_known = |case: &&Case| [&train, &val, &test].into_iter().any(|ids| ids.contains(&case.id));
        let added = labeled_cases(dataset).filter(|case| !is_known(case));
        Ok(added.map(|case| case.id.clone()).collect())
    }
}

/// Draws the split of a new run, and verifies its test cases, which nothing reads before the training has ended.
///
/// # Errors
///
/// When the data set has other classes than the configuration, a part of the split is empty, or test cases are
/// unusable ([`Error::TestCases`]).
pub(super) fn draw_split(config: &Config, dataset: &Dataset, path: &Path) -> Result<Split> {
    ensure_same_classes(&config.data, dataset)?;
    let (index, count) = config.data.parse_fold(path)?;
    let split = Split::new(dataset, &config.data.split, Fold { index, count }, SPLIT_SEED, path)?;
    let failures = verify_cases(dataset, &config.preprocess, &split.test, &|_| ());
    if failures.is_empty() { Ok(split) } else { Err(Error::TestCases { failures }) }
}

fn labeled_cases(dataset: &Dataset) -> impl Iterator<Item = &Case> {
    dataset.cases.iter().chain(&dataset.test).filter(|case| case.labels.is_some())
}

fn ensure_same_classes(config: &DataConfig, dataset: &Dataset) -> Result<()> {
    // The data set was read with the classes of the run, so a change of its own shows in the source schema only.
    let source = config.source_schema.as_ref().unwrap_or(&config.label_schema);
    for (expected, found) in [(&config.label_schema, &dataset.label_schema), (source, &dataset.source_schema)]
    {
        if expected != found {
            let text =
                |schema: &LabelSchema| format!("{:?} with labels {:?}", schema.names(), schema.label_sets());
            let path = dataset.layout.manifest_path(&dataset.root);
            return Err(Error::ClassesMismatch { path, found: text(found), expected: text(expected) });
        }
    }
    Ok(())
}
