//! From cases on disk to batches of tensors.
//!
//! [`Dataset`] lists the cases of a folder in one of several [`Layout`]s, [`DatasetReport`] tells what is wrong with
//! them, [`Split`] shares them out, [`PreprocessConfig`] prepares their voxels, [`build_cache`] keeps the prepared cases on disk, [`Loader`] cuts augmented patches out of them, and [`Batch`] makes tensors
//! of the patches.

mod error;
mod augment;
mod batch;
mod cache;
mod case_descriptions;
mod classes;
mod dataset;
mod dataset_report;
mod labeling;
mod layout;
mod loader;
mod patch;
mod preprocess;
mod regions;
mod split;

pub use augment::{AugmentConfig, Augmentation};
pub use batch::Batch;
pub use cache::{CachedCase, build_cache, file_fingerprint};
pub use case_descriptions::case_descriptions_path;
pub use classes::read_classes;
pub use dataset::{Case, Dataset, DatasetOverrides, LabelRemap, Modality, SourceClasses, read_reference};
pub use dataset_report::{ClassCount, DatasetReport, LabelCount};
pub use error::{Error, Result};
pub use labeling::Labeling;
pub use layout::Layout;
pub use loader::{Loader, LoaderConfig, PREFETCH_STEPS};
pub use patch::{ClassLocations, densest_patch_origin};
pub use preprocess::{
    Intensity, PreprocessConfig, PreprocessedCase, ensure_same_grid, read_channels, remap_labels,
};

pub use regions::{Regions, check_regions};
pub use split::{Fold, Split, SplitConfig, SplitSize, fold};

use ndarray::{Array3, Array4};

/// One patch with its labels, as the network trains on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The id of the case that it was cut from.
    pub case: String,
    /// Prepared intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Class indices, `[x, y, z]`: 0 is background, 1 the first label, which is the first class where classes
    /// exclude each other.
    pub labels: Array3<u8>,
}
