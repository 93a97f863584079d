//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

use crate::memory::MemoryPlan;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong in a training or its run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// From `bipvl-data`.
    #[error(transparent)]
    Data(#[from] bipvl_data::Error),
    /// From `bipvl-infer`; also invalid configuration files.
    #[error(transparent)]
    Infer(#[from] bipvl_infer::Error),
    /// From `bipvl-nn`.
    #[error(transparent)]
    Nn(#[from] bipvl_nn::Error),
    /// From `bipvl-text`.
    #[error(transparent)]
    Text(#[from] bipvl_text::Error),
    /// Processes that train together have different weights.
    #[error(
        "the processes have different weights after step {step}: all need the same program on the same kind of CPU"
    )]
    RanksDiverged {
        /// Steps done.
        step: usize,
    },
    /// No training case has a voxel of any class.
    #[error(
        "no class has a voxel in the training cases of fold {fold}; check the label maps and their labels"
    )]
    NoForeground {
        /// The fold, such as `0/5`.
        fold: String,
    },
    /// The directory already has a run.
    #[error("{} already contains a run", dir.display())]
    RunExists {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is where the run directory should be.
    #[error("{} is a file, not a directory", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// There are fewer labeled cases than folds.
    #[error("{folds} folds need as many labeled cases, but there are {cases}")]
    TooFewCases {
        /// The number of folds.
        folds: usize,
        /// The number of labeled cases.
        cases: usize,
    },
    /// The data set does not have what a row of an ablation study changes.
    #[error("{row}: requires {requirement}")]
    AblationRequirement {
        /// The name of the row.
        row: String,
        /// What is missing.
        requirement: crate::ablation::Requirement,
    },
    /// Another process is using the run.
    #[error("{} is in use by another process", dir.display())]
    RunLocked {
        /// The run directory.
        dir: PathBuf,
    },
    /// The run was created with another configuration.
    #[error("{}: this run was created with `{key} = {found}`, requested `{key} = {requested}`", path.display())]
    RunMismatch {
        /// The configuration of the run.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// The value of the run.
        found: String,
        /// The value requested.
        requested: String,
    },
    /// The run was created with other descriptions.
    #[error("{}: the descriptions of class \"{class}\" differ from those of the run", path.display())]
    DescriptionsMismatch {
        /// The descriptions of the run.
        path: PathBuf,
        /// The first class that differs.
        class: String,
    },
    /// The data set has other classes than the run.
    #[error("{}: classes are {found}, but the run was created with {expected}", path.display())]
    ClassesMismatch {
        /// The index of the data set.
        path: PathBuf,
        /// Classes and labels of the data set.
        found: String,
        /// Classes and labels of the run.
        expected: String,
    },
    /// Cases of the split of the run are missing in the data set, or have no labels.
    #[error("{}: {} of the split are missing in the data set: {}", path.display(), cases.len(), cases.join(", "))]
    MissingCases {
        /// The split of the run.
        path: PathBuf,
        /// The ids of the cases.
        cases: Vec<String>,
    },
    /// Test cases cannot be used, so that the finished model could not be evaluated.
    #[error("{} unusable test cases: {}", failures.len(), join(failures))]
    TestCases {
        /// Case id and reason.
        failures: Vec<(String, bipvl_data::Error)>,
    },
    /// A safetensors file is not a checkpoint of a training.
    #[error("{}: not a training checkpoint: {reason}", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What is missing or invalid.
        reason: String,
    },
    /// Pretrained weights of the wrong network.
    #[error("{}: weights of a {found}, but those of a {expected} are needed", path.display())]
    WrongPretrainedWeights {
        /// The file.
        path: PathBuf,
        /// The network of the file.
        found: &'static str,
        /// The network to initialize.
        expected: &'static str,
    },
    /// A tokenizer has more tokens than its text encoder has embeddings.
    #[error("{}: the tokenizer has {tokens} tokens, but config.json has vocab_size {vocab_size}", path.display())]
    VocabularyTooLarge {
        /// The directory of the text encoder.
        path: PathBuf,
        /// Tokens of the tokenizer.
        tokens: usize,
        /// Embeddings of the text encoder.
        vocab_size: usize,
    },
    /// No reduction makes a training step fit into the memory budget.
    #[error(
        "a training step needs at least {needed_gb:.2} GB ({}), but the memory budget is {budget_gb} GB",
        plan.describe()
    )]
    MemoryBudget {
        /// The budget in GB (10⁹ bytes).
        budget_gb: f64,
        /// The smallest possible peak, rounded up.
        needed_gb: f64,
        /// The plan with that peak.
        plan: MemoryPlan,
    },
    /// The loss is NaN or infinite.
    #[error("the loss is {loss} at step {step}; a lower `train.learning_rate` may help")]
    NonFiniteLoss {
        /// The training step, from 1.
        step: usize,
        /// The total loss.
        loss: f32,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }
}

fn join(failures: &[(String, bipvl_data::Error)]) -> String {
    failures.iter().map(|(case, error)| format!("{case} ({error})")).collect::<Vec<_>>().join("; ")
}
