//! What can be wrong with the data sets and the run of a prompted training.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Each names the data set or the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// A volume or grid is at fault.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// A data set is at fault.
    #[error(transparent)]
    Data(#[from] bipvl_data::Error),
    /// A description or table of words is at fault.
    #[error(transparent)]
    Text(#[from] bipvl_text::Error),
    /// Weights are at fault.
    #[error(transparent)]
    Nn(#[from] bipvl_nn::Error),
    /// Inference is at fault.
    #[error(transparent)]
    Infer(#[from] bipvl_infer::Error),
    /// A run or configuration is at fault.
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
}
