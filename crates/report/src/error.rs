//! Errors of reports and of evaluations of files.

use std::path::PathBuf;

use bipvl_imaging::GridMismatch;
use bipvl_io::FileError;

/// Result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a report or an evaluation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A label map cannot be read.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// A DICOM segmentation cannot be read.
    #[error(transparent)]
    Dicom(#[from] bipvl_dicom::Error),
    /// Prediction and reference are structure sets, which have no grid.
    #[error(
        "{}: two structure sets have no grid to be compared on; convert one with `bipvl data import`, which reads its series",
        path.display()
    )]
    StructuresWithoutGrid {
        /// The prediction.
        path: PathBuf,
    },
    /// Two segmentations with more voxels between them than a volume may have.
    #[error("{}: the slices are too far from those of {}; were they made for one series?", prediction.display(), reference.display())]
    SegmentationsFarApart {
        /// The prediction.
        prediction: PathBuf,
        /// The reference.
        reference: PathBuf,
    },
    /// A case cannot be scored.
    #[error(transparent)]
    Metrics(#[from] bipvl_metrics::Error),
    /// A line of a training log is not an event.
    #[error("{}:{line}: not a training event: `{content}`: {reason}", path.display())]
    TrainingLog {
        /// The log.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// Beginning of the line.
        content: String,
        /// Parser error.
        reason: serde_json::Error,
    },
    /// A file is not the cost of a run.
    #[error("{}: not the cost file of a run: {reason}", path.display())]
    CostFile {
        /// The file.
        path: PathBuf,
        /// Parser error.
        reason: serde_json::Error,
    },
    /// The image or the prediction of an overlay is not on the grid of the reference.
    #[error("case {case}: the {volume} is not on the grid of the reference: {mismatch}")]
    GridMismatch {
        /// Case id.
        case: String,
        /// `image` or `prediction`.
        volume: &'static str,
        /// Both grids.
        mismatch: GridMismatch,
    },
    /// A volume has no voxels.
    #[error("case {case}: empty volume, shape {shape:?}")]
    EmptyVolume {
        /// Case id.
        case: String,
        /// Shape of the reference.
        shape: [usize; 3],
    },
    /// No label map is in a folder.
    #[error("{}: no label maps in this folder{}", folder.display(), folder_contents(other_files))]
    NoLabelMaps {
        /// The folder.
        folder: PathBuf,
        /// Names of some files that are in it.
        other_files: Vec<String>,
    },
    /// Two files of a folder belong to the same case.
    #[error("case {case} has two label maps: {} and {}", first.display(), second.display())]
    DuplicateCase {
        /// Case id.
        case: String,
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
    /// No prediction belongs to a reference.
    #[error("case {case}: no prediction in {} for the reference {}", folder.display(), reference.display())]
    MissingPrediction {
        /// Case id.
        case: String,
        /// Folder of predictions.
        folder: PathBuf,
        /// The reference.
        reference: PathBuf,
    },
    /// The caller stopped the evaluation.
    #[error("canceled")]
    Canceled,
    /// A figure cannot be drawn.
    #[error("a figure cannot be drawn: {0}")]
    Drawing(String),
    /// An image cannot be encoded as PNG.
    #[error("an image cannot be encoded as PNG: {0}")]
    Png(#[from] png::EncodingError),
    /// A template cannot be rendered.
    #[error("the page cannot be rendered: {0}")]
    Template(#[from] askama::Error),
    /// Results cannot be serialized.
    #[error("results cannot be serialized as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn folder_contents(names: &[String]) -> String {
    if names.is_empty() { " (it is empty)".to_owned() } else { format!("; it contains {}", names.join(", ")) }
}
