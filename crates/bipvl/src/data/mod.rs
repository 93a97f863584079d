//! From cases on disk to batches of tensors.
//!
//! [`Dataset`] lists the cases and splits them, [`Recipe`] prepares their voxels, [`build_cache`] keeps
//! the prepared cases on disk, [`Loader`] cuts augmented patches out of them, and [`Batch`] makes tensors
//! of the patches.

mod augment;
mod batch;
mod cache;
mod case_descriptions;
mod dataset;
mod loader;
mod patch;
mod preprocess;

pub use augment::{AugmentConfig, Augmentation};
pub use batch::Batch;
pub use cache::{CachedCase, build_cache};
pub use case_descriptions::case_descriptions;
pub use dataset::{Case, Dataset, Modality, Split, fold, read_classes};
pub use loader::{Loader, LoaderConfig};
pub use patch::VoxelLists;
pub use preprocess::{Intensity, Prepared, Recipe, read_channels};

use ndarray::{Array3, Array4};

/// One patch with its labels, as the network trains on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The id of the case that it was cut from.
    pub case: String,
    /// Prepared intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Class indices, `[x, y, z]`: 0 is background, 1 the first class.
    pub labels: Array3<u8>,
}
