//! Reads and writes `.nii` and `.nii.gz`; the only room that knows that format and its memory order.
//!
//! The `nifti` crate parses; around it stands a guard that refuses what it would misread.

use std::path::Path;

use crate::{Grid, LabelMap, Result, Volume};

/// Reads the intensities.
///
/// # Errors
///
/// x
pub fn read_image(path: &Path) -> Result<Vec<Volume<f32>>> {
    todo!("{}", path.display())
}

/// Reads labels.
///
/// # Errors
///
/// x
pub fn read_labels(path: &Path) -> Result<LabelMap> {
    todo!("{}", path.display())
}

/// Reads the grid.
///
/// # Errors
///
/// x
pub fn read_grid(path: &Path) -> Result<Grid> {
    todo!("{}", path.display())
}

/// Writes labels.
///
/// # Errors
///
/// x
pub fn write_labels(path: &Path, labels: &LabelMap) -> Result<()> {
    todo!("{} {:?}", path.display(), labels.grid())
}

/// Writes an image.
///
/// # Errors
///
/// x
pub fn write_image(path: &Path, image: &Volume<f32>) -> Result<()> {
    todo!("{} {:?}", path.display(), image.grid())
}
