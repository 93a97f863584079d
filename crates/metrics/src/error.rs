//! Errors of scoring.

use bipvl_imaging::GridMismatch;

/// Why a case cannot be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The prediction is not on the grid of its reference.
    #[error("case {case}: the prediction is not on the grid of its reference: {mismatch}")]
    GridMismatch {
        /// Case id.
        case: String,
        /// Both grids.
        mismatch: GridMismatch,
    },
    /// The spacing of the reference is zero, negative or not finite.
    #[error("case {case}: spacing {spacing:?} mm is not positive and finite")]
    InvalidSpacing {
        /// Case id.
        case: String,
        /// Millimeters per voxel, per axis.
        spacing: [f64; 3],
    },
    /// A class has label 0, the background.
    #[error("class {name:?} has label 0, which is background")]
    BackgroundLabel {
        /// Class name.
        name: String,
    },
    /// A class has no label.
    #[error("class {name:?} has no label")]
    NoLabel {
        /// Class name.
        name: String,
    },
    /// A class has the label of voxels that are excluded from scoring.
    #[error("class {name:?} has label {label}, which is the ignore label")]
    IgnoredClass {
        /// Class name.
        name: String,
        /// The ignore label.
        label: u16,
    },
    /// Two classes have one name.
    #[error("two classes are named {name:?}")]
    DuplicateName {
        /// The shared name.
        name: String,
    },
    /// Two classes have the same labels.
    #[error("classes {first:?} and {second:?} have the same labels {labels:?}")]
    DuplicateLabels {
        /// Name of the class listed first.
        first: String,
        /// Name of the class listed second.
        second: String,
        /// Their labels.
        labels: Vec<u16>,
    },
    /// The tolerance of NSD is negative or not finite.
    #[error("NSD tolerance {tolerance_mm} mm is negative or not finite")]
    InvalidTolerance {
        /// The tolerance in mm.
        tolerance_mm: f64,
    },
    /// No convention has this name.
    #[error("unknown convention {name:?}; known are monai, deepmind, metrics-reloaded and medpy")]
    UnknownConvention {
        /// The name.
        name: String,
    },
}
