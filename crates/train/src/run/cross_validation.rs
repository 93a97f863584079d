//! Cross-validation: a run per fold, each with its own validation cases.

use std::path::Path;

use bipvl_data::{Case, Dataset, DatasetOverrides, Split};
use bipvl_infer::Folds;

use super::{RunDir, RunSpec};
use crate::{Error, Result};

/// The runs of a cross-validation.
#[derive(Debug)]
pub struct CrossValidation {
    /// The folds in order, never empty.
    pub folds: Vec<FoldRun>,
}

/// One run of a cross-validation.
#[derive(Debug)]
pub struct FoldRun {
    /// The run; all folds share the preprocessed cases.
    pub run: RunDir,
    /// Its split.
    pub split: Split,
}

impl CrossValidation {
    /// Creates all runs before any is trained; they differ only in their validation cases.
    ///
    /// # Errors
    ///
    /// [`Error::TooFewCases`], [`Error::RunExists`], and as [`RunDir::create`].
    pub fn create(dir: &Path, spec: &RunSpec, dataset: &Dataset, count: usize) -> Result<Self> {
        let cases = dataset.cases.iter().filter(|case| case.labels.is_some()).count();
        if cases < count {
            return Err(Error::TooFewCases { folds: count, cases });
        }
        if dir.join("config.toml").exists() || Folds::exists_in(dir) {
            return Err(Error::RunExists { dir: dir.to_owned() });
        }
        let folds = Folds { count };
        let mut spec = spec.clone();
        for (fold, run_dir) in folds.run_dirs(dir).into_iter().enumerate() {
            spec.config.data.fold = format!("{fold}/{count}");
            RunDir::create(&run_dir, &spec, dataset)?;
        }
        // Last, because it marks the directory as a cross-validation.
        folds.write(dir)?;
        Self::open(dir, dataset)
    }

    /// Opens or creates one run of a cross-validation of `count` folds, whose runs different processes train. Its files
    /// are those of [`Self::create`].
    ///
    /// # Errors
    ///
    /// [`Error::TooFewCases`], [`Error::RunExists`] for a cross-validation of another number of folds, and as
    /// [`RunDir::resume_or_create`].
    pub fn open_or_create_fold(
        dir: &Path,
        spec: &RunSpec,
        dataset: &Dataset,
        fold: usize,
        count: usize,
    ) -> Result<FoldRun> {
        let cases = dataset.cases.iter().filter(|case| case.labels.is_some()).count();
        if cases < count {
            return Err(Error::TooFewCases { folds: count, cases });
        }
        let folds = Folds { count };
        let is_other = Folds::exists_in(dir) && Folds::read(dir)? != folds;
        if is_other || dir.join("config.toml").exists() {
            return Err(Error::RunExists { dir: dir.to_owned() });
        }
        let mut spec = spec.clone();
        spec.config.data.fold = format!("{fold}/{count}");
        let mut run = RunDir::resume_or_create(&dir.join(format!("fold-{fold}")), &spec, dataset)?;
        // The same bytes, whichever process is the first.
        folds.write(dir)?;
        run.cache = dir.join("cache");
        let split = run.split(dataset)?;
        Ok(FoldRun { run, split })
    }

    /// Opens the runs of a cross-validation.
    ///
    /// # Errors
    ///
    /// When a run or its split cannot be read, or does not fit the data set.
    pub fn open(dir: &Path, dataset: &Dataset) -> Result<Self> {
        let open = |run_dir: &Path| -> Result<FoldRun> {
            let mut run = RunDir::open(run_dir)?;
            run.cache = dir.join("cache");
            let split = run.split(dataset)?;
            Ok(FoldRun { run, split })
        };
        let run_dirs = Folds::read(dir)?.run_dirs(dir);
        Ok(Self { folds: run_dirs.iter().map(|run_dir| open(run_dir)).collect::<Result<_>>()? })
    }

    /// How to read the data set of a cross-validation again.
    ///
    /// # Errors
    ///
    /// When its first run cannot be read.
    pub fn dataset_overrides(dir: &Path) -> Result<DatasetOverrides> {
        let first = RunDir::open(&Folds::read(dir)?.run_dirs(dir)[0])?;
        Ok(first.config.data.dataset_overrides())
    }

    /// The validation cases of all folds, fold by fold: every labeled case once.
    pub fn validation_cases(&self) -> Vec<Case> {
        self.folds.iter().flat_map(|fold| fold.split.val.iter().cloned()).collect()
    }
}
