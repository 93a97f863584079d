//! Data sets, preprocessing, augmentation and batches.
//!
//! [`Dataset`] lists the cases of a folder in one of several [`Layout`]s, [`DatasetReport`] checks them, [`Split`]
//! assigns them to training, validation and test, [`PreprocessConfig`] preprocesses them, [`build_cache`] stores the
//! result on disk, [`Loader`] samples augmented patches, and [`Batch`] makes tensors of these.

mod error;
mod augment;
mod batch;
mod cache;
mod case_descriptions;
mod case_files;
mod coordinates;
mod dataset;
mod dataset_report;
mod label_schema_file;
mod layout;
mod loader;
mod patch;
mod prefetch;
mod preprocess;
mod split;

pub use augment::{AugmentConfig, Augmentation};
pub use batch::Batch;
pub use bipvl_imaging::{
    IGNORE_INDEX, LabelClass, LabelRemap, LabelSchema, LabelSchemaError, LabelSchemaSpec,
};
pub use cache::{CachedCase, build_cache, classes_without_voxels, file_fingerprint};
pub use case_descriptions::case_descriptions_path;
pub use case_files::{CaseFiles, FolderImages, group_by_case, list_images};
pub use coordinates::{COORDINATE_CHANNELS, patch_coordinates};
pub use dataset::{Case, Dataset, DatasetOverrides, Modality, read_reference};
pub use dataset_report::{ClassCount, DatasetReport, LabelCount, verify_cases};
pub use error::{Error, Result};
pub use label_schema_file::read_label_schema;
pub use layout::Layout;
pub use loader::{Loader, LoaderConfig};
pub use patch::{ClassLocations, densest_patch_origin};
pub use prefetch::{PREFETCH_STEPS, Prefetch};
pub use preprocess::{
    Intensity, PreprocessConfig, PreprocessedCase, ensure_same_grid, read_case_labels, read_channels,
    remap_labels,
};
pub use split::{Fold, Split, SplitConfig, SplitIds, SplitSize, fold};

use ndarray::{Array3, Array4};

/// A patch with its labels, as the network is trained on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The id of the case.
    pub case_id: String,
    /// Preprocessed intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Channel indices of labels, `[x, y, z]`: 0 is background, `k` the `k`-th label of the schema (with exclusive
    /// classes the `k`-th class), [`IGNORE_INDEX`] is not annotated.
    pub labels: Array3<u8>,
}
