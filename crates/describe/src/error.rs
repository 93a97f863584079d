//! Errors of this crate.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why descriptions cannot be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A data set cannot be read.
    #[error(transparent)]
    Data(#[from] bipvl_data::Error),
    /// No case of a data set has labels to measure.
    #[error("{}: no case has labels to measure", path.display())]
    NoLabels {
        /// The data set folder.
        path: PathBuf,
    },
    /// The labels of a case are not on the grid of its image.
    #[error("{}: the label map is not on the grid of {}", labels.display(), image.display())]
    GridMismatch {
        /// The label map.
        labels: PathBuf,
        /// The image.
        image: PathBuf,
    },
    /// A class has no built-in description.
    #[error("no built-in description of class `{class}`")]
    NoBuiltin {
        /// The class.
        class: String,
    },
    /// The progress callback stopped the measurement.
    #[error("cancelled")]
    Cancelled,
    /// A language model gives no description of a class.
    #[cfg(feature = "endpoint")]
    #[error("class `{class}`: {reason} (attempts: {attempts})")]
    Endpoint {
        /// The class.
        class: String,
        /// Number of requests sent.
        attempts: u32,
        /// Why the last one failed.
        reason: crate::endpoint::EndpointError,
    },
}
