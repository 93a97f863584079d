//! What can be wrong with the things to compare.

use bipvl_imaging::Grid;

/// Why a case could not be scored, or a setting not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Prediction and reference do not lie on the same grid.
    #[error(
        "{case}: expected the prediction on the grid of its reference, {}, found {}",
        grid_in_words(reference),
        grid_in_words(prediction)
    )]
    GridsDiffer {
        /// The case's id.
        case: String,
        /// Where the prediction's voxels are.
        prediction: Box<Grid>,
        /// Where the reference's voxels are.
        reference: Box<Grid>,
    },
    /// The grid has no voxels of positive, finite length.
    #[error("{case}: expected a positive, finite spacing in mm, found {spacing:?}")]
    Spacing {
        /// The case's id.
        case: String,
        /// Millimeters per voxel, per axis.
        spacing: [f64; 3],
    },
    /// A class stands for background.
    #[error("class {name:?}: expected a label above 0, which is background, found 0")]
    BackgroundClass {
        /// The class's name.
        name: String,
    },
    /// A class stands for nothing.
    #[error("class {name:?}: expected at least one label, found none")]
    WithoutLabel {
        /// The class's name.
        name: String,
    },
    /// Two classes share a name, or have the same labels.
    #[error(
        "expected classes with names and labels of their own, found {first:?} and {second:?} (labels {labels:?})"
    )]
    ClassesShare {
        /// The name of the class listed first.
        first: String,
        /// The name of the class listed second.
        second: String,
        /// The labels of the class listed second.
        labels: Vec<u16>,
    },
    /// The tolerance of NSD is no length.
    #[error("expected a finite tolerance of 0 mm or more, found {tolerance_mm}")]
    Tolerance {
        /// The tolerance found.
        tolerance_mm: f64,
    },
    /// A name that is no convention's.
    #[error("expected monai, deepmind, metrics-reloaded or medpy, found {found:?}")]
    UnknownConvention {
        /// The name found.
        found: String,
    },
}

fn grid_in_words(grid: &Grid) -> String {
    let affine = grid.affine();
    let rows = [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| affine[(row, column)]));
    format!("shape {:?} with affine {rows:?}", grid.shape())
}
