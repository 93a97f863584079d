//! Training, validation and test cases: by folds, by number, or by name.

use std::{collections::BTreeMap, path::Path};

use bipvl_io::atomic_write;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Case, Dataset};
use crate::{Error, Result};

/// The cases of a data set by their purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Training cases.
    pub train: Vec<Case>,
    /// Validation cases, by which checkpoints are chosen.
    pub val: Vec<Case>,
    /// Test cases, by which nothing is chosen; there may be none.
    pub test: Vec<Case>,
}

/// The ids of the cases of a split, as a run records them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitIds {
    /// Training cases.
    pub train: Vec<String>,
    /// Validation cases.
    pub val: Vec<String>,
    /// Test cases.
    pub test: Vec<String>,
}

/// Held-out cases; by default those of the validation fold only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Validation cases, instead of a fold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<SplitSize>,
    /// Test cases, besides those of the data set itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<SplitSize>,
}

/// A number of cases, or their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SplitSize {
    /// At least so many, drawn with the seed of all splits; all cases of a patient or none.
    Count(usize),
    /// The cases with these ids.
    Cases(Vec<String>),
}

/// A validation fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The index, from 0.
    pub index: usize,
    /// The number of folds.
    pub count: usize,
}

impl Split {
    /// Splits the labeled cases of a data set: first the test cases, then the validation cases; the rest is for
    /// training. `path` is the configuration, for messages.
    ///
    /// # Errors
    ///
    /// When there is no case of a given id, a part would be empty, or there are fewer patients than folds.
    pub fn new(dataset: &Dataset, config: &SplitConfig, fold: Fold, seed: u64, path: &Path) -> Result<Self> {
        let mut rest: Vec<Case> =
            dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
        let mut test = dataset.test.clone();
        if let Some(size) = &config.test {
            test.extend(size.take("data.split.test", &mut rest, seed, path)?);
            test.sort_by(|one, other| one.id.cmp(&other.id));
        }
        if let Some(size) = &config.val {
            let val = size.take("data.split.val", &mut rest, seed, path)?;
            return Ok(Self { train: rest, val, test });
        }
        let patients = patients(&rest).len();
        if patients < fold.count {
            let (path, cases, folds) = (dataset.root.clone(), rest.len(), fold.count);
            return Err(Error::TooFewPatients { path, patients, cases, folds });
        }
        Ok(Self { test, ..self::fold(&rest, fold.index, fold.count, seed) })
    }

    /// The cases to evaluate the final model on: the test cases, or the validation cases if there are none.
    pub fn evaluation_cases(&self) -> &[Case] {
        if self.test.is_empty() { &self.val } else { &self.test }
    }

    /// The ids of the cases.
    pub fn ids(&self) -> SplitIds {
        let ids = |cases: &[Case]| cases.iter().map(|case| case.id.clone()).collect();
        SplitIds { train: ids(&self.train), val: ids(&self.val), test: ids(&self.test) }
    }

    /// Checks that the split is the recorded one; `path` is the record, for messages.
    ///
    /// # Errors
    ///
    /// When a case was added, removed, or moved to another part.
    pub fn ensure_matches(&self, recorded: &SplitIds, path: &Path) -> Result<()> {
        let (before, after) = (recorded.by_case(), self.ids().by_case());
        let names = |ids: Vec<&str>| ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(", ");
        let only_in = |one: &BTreeMap<String, &str>, other: &BTreeMap<String, &str>| {
            names(one.keys().filter(|id| !other.contains_key(*id)).map(String::as_str).collect())
        };
        let moved = after.iter().filter_map(|(id, part)| {
            let old = before.get(id).filter(|old| *old != part)?;
            Some(format!("{id:?} moved from {old} to {part}"))
        });
        let mut differences: Vec<String> = moved.collect();
        for (ids, change) in [(only_in(&after, &before), "added"), (only_in(&before, &after), "removed")] {
            if !ids.is_empty() {
                differences.push(format!("{ids} {change}"));
            }
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Error::SplitChanged { path: path.to_owned(), difference: differences.join("; ") })
        }
    }
}

impl SplitIds {
    /// Reads a recorded split (JSON).
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is malformed.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        serde_json::from_str(&text).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            syntax: "split",
            reason: error.to_string(),
        })
    }

    /// Records the split (JSON).
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("ids can always be written as JSON");
        Ok(atomic_write(path, text.as_bytes())?)
    }

    /// The part of each case.
    fn by_case(&self) -> BTreeMap<String, &'static str> {
        let parts = [(&self.train, "train"), (&self.val, "val"), (&self.test, "test")];
        parts.into_iter().flat_map(|(ids, part)| ids.iter().map(move |id| (id.clone(), part))).collect()
    }
}

impl SplitSize {
    /// Removes the cases from `cases`, which must not become empty.
    fn take(&self, key: &str, cases: &mut Vec<Case>, seed: u64, path: &Path) -> Result<Vec<Case>> {
        let available = cases.len();
        let (path, key) = (path.to_owned(), key.to_owned());
        let chosen = match self {
            Self::Count(count) => draw(cases, *count, seed),
            Self::Cases(ids) => {
                if let Some(id) = ids.iter().find(|id| cases.iter().all(|case| case.id != **id)) {
                    return Err(Error::UnknownSplitCase { path, key, id: id.clone() });
                }
                ids.clone()
            }
        };
        let (taken, left): (Vec<Case>, Vec<Case>) =
            cases.drain(..).partition(|case| chosen.contains(&case.id));
        if taken.is_empty() || left.is_empty() {
            return Err(Error::SplitSize { path, key, taken: taken.len(), available });
        }
        *cases = left;
        Ok(taken)
    }
}

/// Fold `index` of `num_folds`: patients are sorted by id and shuffled with the seed; the cases of the `i`-th patient
/// are for validation if `i % num_folds == index`, else for training. Both parts are sorted by id.
///
/// # Panics
///
/// When there is no such fold.
pub fn fold(cases: &[Case], index: usize, num_folds: usize, seed: u64) -> Split {
    assert!(index < num_folds, "there is no fold {index} of {num_folds}");
    let shuffled = shuffled_patients(cases, seed);
    let is_validation = |case: &Case| {
        let position = shuffled.iter().position(|patient| patient == case.patient());
        position.is_some_and(|position| position % num_folds == index)
    };
    let mut cases = cases.to_vec();
    cases.sort_by(|one, other| one.id.cmp(&other.id));
    let (val, train) = cases.into_iter().partition(is_validation);
    Split { train, val, test: Vec::new() }
}

/// The ids of at least `count` cases: all of the first patients in shuffled order.
fn draw(cases: &[Case], count: usize, seed: u64) -> Vec<String> {
    let mut drawn = Vec::new();
    for patient in shuffled_patients(cases, seed) {
        if drawn.len() >= count {
            break;
        }
        drawn.extend(cases.iter().filter(|case| case.patient() == patient).map(|case| case.id.clone()));
    }
    drawn
}

fn shuffled_patients(cases: &[Case], seed: u64) -> Vec<String> {
    let mut patients = patients(cases);
    patients.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    patients
}

/// Every patient once, sorted.
fn patients(cases: &[Case]) -> Vec<String> {
    let mut patients: Vec<String> = cases.iter().map(|case| case.patient().to_owned()).collect();
    patients.sort();
    patients.dedup();
    patients
}
