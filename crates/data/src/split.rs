//! Which cases train, which validate and which test: by folds, by number, or by name.

use std::path::Path;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Case, Dataset};
use crate::{Error, Result};

/// The parts of a split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The cases to train on.
    pub train: Vec<Case>,
    /// The cases to validate on.
    pub val: Vec<Case>,
    /// The cases that nothing is chosen by; there may be none.
    pub test: Vec<Case>,
}

/// Which cases are put aside; by default none but those of the fold that validates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Cases that validate, instead of a fold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<SplitSize>,
    /// Cases that test, beside those that the data set itself puts aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<SplitSize>,
}

/// A part of the cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SplitSize {
    /// So many, drawn by the seed of all splits; of patients with several cases none is cut in two.
    Count(usize),
    /// These.
    Cases(Vec<String>),
}

/// Which fold validates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// From 0 on.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Split {
    /// Splits the labeled cases of a data set: first those that test, of the others those that validate,
    /// and the rest trains. `path` is the configuration, for messages.
    ///
    /// # Errors
    ///
    /// When a case that is named is not there, or a part would be empty.
    pub fn new(dataset: &Dataset, config: &SplitConfig, fold: Fold, seed: u64, path: &Path) -> Result<Self> {
        let mut rest: Vec<Case> =
            dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
        let mut test = dataset.test.clone();
        if let Some(part) = &config.test {
            test.extend(part.take("test", &mut rest, seed, path)?);
            test.sort_by(|one, other| one.id.cmp(&other.id));
        }
        if let Some(part) = &config.val {
            let val = part.take("val", &mut rest, seed, path)?;
            return Ok(Self { train: rest, val, test });
        }
        let patients = patients(&rest).len();
        if patients < fold.count {
            let expected = format!("at least {} cases with labels, one for each fold", fold.count);
            return Err(Error::content(&dataset.root, expected, patients.to_string()));
        }
        Ok(Self { test, ..self::fold(&rest, fold.index, fold.count, seed) })
    }

    /// The cases that the finished run is judged by: those that test, or those that validate if none do.
    pub fn evaluation_cases(&self) -> &[Case] {
        if self.test.is_empty() { &self.val } else { &self.test }
    }
}

impl SplitSize {
    /// Takes the part out of `cases`, and leaves some there.
    fn take(&self, key: &str, cases: &mut Vec<Case>, seed: u64, path: &Path) -> Result<Vec<Case>> {
        let all = cases.len();
        let chosen = match self {
            Self::Count(count) => draw(cases, *count, seed),
            Self::Cases(ids) => {
                if let Some(id) = ids.iter().find(|id| cases.iter().all(|case| case.id != **id)) {
                    let expected = format!("data.split.{key} among the labeled cases that are left");
                    return Err(Error::content(path, expected, format!("\"{id}\"")));
                }
                ids.clone()
            }
        };
        let (taken, left): (Vec<Case>, Vec<Case>) =
            cases.drain(..).partition(|case| chosen.contains(&case.id));
        if taken.is_empty() || left.is_empty() {
            let expected = format!("data.split.{key} of at least one case and not all {all} that are left");
            return Err(Error::content(path, expected, taken.len().to_string()));
        }
        *cases = left;
        Ok(taken)
    }
}

/// Fold `index` of `num_folds`: the patients are sorted by id and shuffled by the seed; after that the cases
/// of the `i`-th are for validation when `i % num_folds == index`, else for training. Both parts are sorted by
/// id.
///
/// # Panics
///
/// When there is no such fold.
pub fn fold(cases: &[Case], index: usize, num_folds: usize, seed: u64) -> Split {
    assert!(index < num_folds, "there is no fold {index} of {num_folds}");
    let shuffled = shuffled_patients(cases, seed);
    let validates = |case: &Case| {
        let position = shuffled.iter().position(|patient| patient == case.patient());
        position.is_some_and(|position| position % num_folds == index)
    };
    let mut cases = cases.to_vec();
    cases.sort_by(|one, other| one.id.cmp(&other.id));
    let (val, train) = cases.into_iter().partition(validates);
    Split { train, val, test: Vec::new() }
}

/// The ids of at least `count` cases, of as few patients as the shuffled order allows.
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
