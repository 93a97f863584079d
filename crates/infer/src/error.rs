//! Errors of this crate.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use bipvl_io::FileError;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong when opening a trained model or predicting with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// From `bipvl-data`.
    #[error(transparent)]
    Data(#[from] bipvl_data::Error),
    /// From `bipvl-imaging`.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// From `bipvl-nn`.
    #[error(transparent)]
    Nn(#[from] bipvl_nn::Error),
    /// From `bipvl-text`.
    #[error(transparent)]
    Text(#[from] bipvl_text::Error),
    /// The directory has no run.
    #[error("{} is not a run directory: {reason}", path.display())]
    NotARunDir {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        reason: NotARunDir,
    },
    /// A TOML file cannot be parsed, or has unknown keys.
    #[error("{}: invalid configuration: {message}", path.display())]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// The message of the parser, with the line if known.
        message: String,
    },
    /// A configuration value is out of range or contradicts another.
    #[error("{}: `{key}` is {found}, but must be {requirement}", path.display())]
    ConfigValue {
        /// The file, or the text that the value came from.
        path: PathBuf,
        /// The key, such as `infer.overlap`.
        key: String,
        /// The value.
        found: String,
        /// The allowed values.
        requirement: String,
    },
    /// A class that was chosen is none of the model.
    #[error("unknown class `{class}`; the model has {}", classes.join(", "))]
    UnknownClass {
        /// The name.
        class: String,
        /// Those of the model.
        classes: Vec<String>,
    },
    /// No validation has finished yet, so there are no best weights.
    #[error("{} does not exist: the training has not finished its first validation", path.display())]
    NoBestWeights {
        /// The missing file.
        path: PathBuf,
    },
    /// A run cannot be a member of an ensemble.
    #[error("{}: `{key}` differs from that of {}", path.display(), other.display())]
    EnsembleMismatch {
        /// The configuration of the run.
        path: PathBuf,
        /// The configuration of the first run.
        other: PathBuf,
        /// The key that differs.
        key: &'static str,
    },
    /// A case has more or fewer channels than the training data.
    #[error("{}: {found} channels, but the model was trained on {expected}", path.display())]
    ChannelCount {
        /// The first image of the case.
        path: PathBuf,
        /// Channels of the case.
        found: usize,
        /// Channels of the model.
        expected: usize,
    },
    /// A reference is needed, but the case has none.
    #[error("case {case} has no reference labels")]
    MissingReference {
        /// The id of the case.
        case: String,
    },
    /// A class of the model has no unique counterpart in a data set.
    #[error("{}: no unique class for \"{class}\" of the run among {}", path.display(), found.join(", "))]
    UnmatchedClass {
        /// The index of the data set.
        path: PathBuf,
        /// The class of the model.
        class: String,
        /// The classes of the data set.
        found: Vec<String>,
    },
    /// Mirroring along x would swap classes of the left and right side.
    #[error(
        "mirroring along x (axes \"{axes}\") swaps \"{left}\" and \"{right}\"; only y and z are possible"
    )]
    LateralMirroring {
        /// The axes requested.
        axes: String,
        /// A class of the left side.
        left: String,
        /// Its counterpart.
        right: String,
    },
    /// The largest component cannot be kept per class where classes overlap.
    #[error("the largest component of each class is only defined for exclusive classes, but these overlap")]
    OverlappingComponents,
    /// The progress callback returned [`std::ops::ControlFlow::Break`].
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// [`Error::ConfigSyntax`] for the `text` of a file.
    pub fn config_syntax(path: &Path, error: &toml::de::Error, text: &str) -> Self {
        let message = match error.span() {
            Some(span) => {
                let line = 1 + text[..span.start].matches('\n').count();
                format!("line {line}: {}", error.message().replace('\n', ", "))
            }
            // Values merged with defaults have no line; the parser names the key.
            None => error.to_string().trim().replace('\n', " "),
        };
        Self::ConfigSyntax { path: path.to_owned(), message }
    }

    /// [`Error::ConfigValue`]: what was found, and what would be right.
    pub fn config_value(
        path: &Path,
        key: impl Into<String>,
        found: impl ToString,
        requirement: impl Into<String>,
    ) -> Self {
        let (key, requirement) = (key.into(), requirement.into());
        Self::ConfigValue { path: path.to_owned(), key, found: found.to_string(), requirement }
    }
}

/// Why a directory is not a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotARunDir {
    /// It does not exist.
    Missing,
    /// It is a file.
    File,
    /// It has no `config.toml`.
    NoConfig,
    /// It holds the runs of a cross-validation.
    CrossValidation,
    /// Its network has `model.head = "prompts"`, and the operation is one of fixed classes.
    Prompted,
}

impl fmt::Display for NotARunDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no such directory",
            Self::File => "it is a file",
            Self::NoConfig => "it has no config.toml",
            Self::CrossValidation => "it is a cross-validation with the runs fold-0, fold-1, …",
            Self::Prompted => "its model.head is \"prompts\", which this command does not read",
        })
    }
}
