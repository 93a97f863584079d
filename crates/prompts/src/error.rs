//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

use crate::case_labels::LABELED_FILE;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong with the data sets or the run of a prompted training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// From `bipvl-imaging`.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// From `bipvl-data`.
    #[error(transparent)]
    Data(#[from] bipvl_data::Error),
    /// From `bipvl-text`.
    #[error(transparent)]
    Text(#[from] bipvl_text::Error),
    /// From `bipvl-nn`.
    #[error(transparent)]
    Nn(#[from] bipvl_nn::Error),
    /// From `bipvl-metrics`.
    #[error(transparent)]
    Metrics(#[from] bipvl_metrics::Error),
    /// From `bipvl-infer`.
    #[error(transparent)]
    Infer(#[from] bipvl_infer::Error),
    /// From `bipvl-train`.
    #[error(transparent)]
    Train(#[from] bipvl_train::Error),
    /// `rename` names a class that the data set does not have.
    #[error("data set `{set}`: rename names `{class}`, which is no class of it; its classes are {}", classes.join(", "))]
    UnknownClass {
        /// The data set.
        set: String,
        /// The name.
        class: String,
        /// Those it has.
        classes: Vec<String>,
    },
    /// No data set of the training has the name that was given with `like`.
    #[error("no data set `{name}`; the run has {}", names.join(", "))]
    UnknownDataset {
        /// The name.
        name: String,
        /// Those of the run.
        names: Vec<String>,
    },
    /// The data sets of the training are preprocessed differently, and none was chosen with `like`.
    #[error(
        "the data sets of the run are preprocessed differently; say with `like` which the scans resemble: {}",
        names.join(", ")
    )]
    AmbiguousPreprocessing {
        /// Those of the run.
        names: Vec<String>,
    },
    /// `absent` or `unknown` names no concept of any set.
    #[error("data set `{set}`: `{name}` is no concept of any data set; the concepts are {}", known.join(", "))]
    UnknownConcept {
        /// The data set.
        set: String,
        /// The name.
        name: String,
        /// All concepts.
        known: Vec<String>,
    },
    /// A set labels what it declares absent.
    #[error("data set `{set}`: `{name}` is declared absent, but is one of its classes")]
    LabeledAndAbsent {
        /// The data set.
        set: String,
        /// The concept.
        name: String,
    },
    /// A case declares absent what its label map shows.
    #[error(
        "data set `{set}`: {LABELED_FILE} declares `{name}` absent in case `{case}`, but its label map has voxels of it"
    )]
    AbsentButLabeled {
        /// The data set.
        set: String,
        /// The case.
        case: String,
        /// The concept.
        name: String,
    },
    /// Two classes of a set are one concept.
    #[error("data set `{set}`: classes `{}` and `{}` mean the same; give one of them another name with `rename`", classes[0], classes[1])]
    SameConcept {
        /// The data set.
        set: String,
        /// Both names.
        classes: [String; 2],
    },
    /// A set has no class with a loss.
    #[error("data set `{set}`: no class is labeled; remove it, or take a class out of `unknown`")]
    NothingLabeled {
        /// The data set.
        set: String,
    },
    /// `labelled.json` does not fit its data set.
    #[error("{}: {reason}", path.display())]
    Labeled {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of a run cannot be parsed.
    #[error("{}: invalid: {reason}", path.display())]
    InvalidRunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No case of a data set is left for training.
    #[error("data set `{set}`: no training case is left")]
    NoTrainingCases {
        /// The data set.
        set: String,
    },
    /// No validation case labels anything that is prompted, so that no weights could be chosen.
    #[error(
        "no validation case labels a concept that training may ask for; choose other cases with data.fold or split.val"
    )]
    NothingToValidate,
    /// A data set has several channels and none is chosen, or not the one that is.
    #[error("data set `{set}`: {found}; choose one of its channels with `channel`: {}", channels.join(", "))]
    Channel {
        /// The data set.
        set: String,
        /// What was found instead.
        found: String,
        /// Its channels.
        channels: Vec<String>,
    },
    /// Prompts of a prediction are empty, repeated, or too many.
    #[error("{reason}")]
    Prompts {
        /// What is wrong.
        reason: String,
    },
    /// No run is given.
    #[error("no run is given")]
    NoRun,
    /// Several runs, one of which is prompted.
    #[error("prompted runs are not averaged; give one")]
    PromptedEnsemble,
    /// Prompts, or a data set to resemble, for a run with a channel per class.
    #[error(
        "the run has fixed classes; choose among them with classes (prompts and like need model.head = \"prompts\")"
    )]
    FixedClasses,
    /// Classes for a prompted run.
    #[error("the run is asked with prompts, not with classes")]
    OpenClasses,
    /// A scan has several channels.
    #[error("{}: {found} channels, but the network reads one", path.display())]
    ChannelCount {
        /// The scan.
        path: PathBuf,
        /// Its channels.
        found: usize,
    },
    /// A loss is not finite.
    #[error("loss is {loss} at step {step}; lower train.learning_rate")]
    Diverged {
        /// The step.
        step: usize,
        /// The loss.
        loss: f32,
    },
}

impl Error {
    /// The system refused to open, read or write `path`.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }

    /// Whether the fault is in what was asked for, not in a file or a run.
    pub fn is_request(&self) -> bool {
        matches!(
            self,
            Self::NoRun
                | Self::PromptedEnsemble
                | Self::FixedClasses
                | Self::OpenClasses
                | Self::ChannelCount { .. }
                | Self::Prompts { .. }
                | Self::UnknownDataset { .. }
                | Self::AmbiguousPreprocessing { .. }
                | Self::Infer(
                    bipvl_infer::Error::UnknownClass { .. } | bipvl_infer::Error::ChannelCount { .. }
                )
        )
    }

    /// A value of a configuration file is invalid.
    pub fn config_value(
        path: &Path,
        key: &str,
        found: impl ToString,
        requirement: impl Into<String>,
    ) -> Self {
        Self::Infer(bipvl_infer::Error::config_value(path, key, found, requirement))
    }
}
