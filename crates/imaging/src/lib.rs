//! Medical images: volumes on grids, file formats, resampling.
//!
//! A [`Volume`] is a 3-D array and its [`Grid`] (shape and affine). The world is RAS+ in millimeters: x right,
//! y anterior, z superior. Voxels are indexed `[x, y, z]` along the axes of the grid, which have any direction until
//! [`to_ras`].
//!
//! Preprocessing of a CT and its inverse:
//!
//! ```
//! use bipvl_imaging::{BoundingBox, PaddingMode, crop_or_pad, into_ras, phantom, resample, resample_labels};
//!
//! # fn main() -> bipvl_imaging::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder can be made");
//! # let (input, output) = (folder.path().join("ct.nii.gz"), folder.path().join("labels.nii.gz"));
//! bipvl_imaging::write(&input, &phantom::draw(7, [40, 40, 32], [1.5, 1.5, 2.0]).image)?;
//!
//! // Axes to RAS, 2 mm voxels, at least 48 voxels per axis.
//! let ct = bipvl_imaging::read(&input)?;
//! let image = into_ras(ct.channels[0].clone());
//! let image = resample(&image, &image.grid().resampled_to([2.0; 3]), PaddingMode::Border);
//! let bounds = BoundingBox::whole(image.grid().shape()).padded_to([48; 3]);
//! let image = crop_or_pad(&image, &bounds, -1000.0);
//! assert_eq!(image.grid().shape(), [48, 48, 48]);
//!
//! // Resampling to the grid of the file undoes all of it.
//! let prediction = image.map(|&hu| u16::from(hu > 70.0));
//! let labels = resample_labels(&prediction, &ct.header.grid, PaddingMode::Constant(0));
//! bipvl_imaging::write(&output, &labels)?;
//! assert_eq!(bipvl_imaging::probe(&output)?.grid, ct.header.grid);
//! # Ok(())
//! # }
//! ```

mod error;
mod grid;
mod volume;
pub mod formats;
mod segmentation;
mod probability;
mod orient;
mod grid_mapping;
mod resample;
mod crop;
mod label_schema;
mod components;
pub mod phantom;

pub use components::{ConnectedComponents, Connectivity, connected_components, keep_largest_component};
pub use crop::{BoundingBox, crop_or_pad};
pub use error::{DecompressionError, Error, Result};
pub use formats::{
    Compression, Format, Header, Image, NiftiForms, Source, Voxel, VoxelType, WriteOptions, probe, read,
    read_labels, write, write_with,
};
pub use grid::{Affine, Grid, GridMismatch, InvalidResampling, MAX_VOXELS};
pub use grid_mapping::{GridMapping, LinearWeight};
pub use label_schema::{
    ClassRelation, IGNORE_INDEX, LabelClass, LabelRemap, LabelSchema, LabelSchemaError, LabelSchemaSpec,
    MAX_LABELS, apply_remap,
};
pub use orient::{
    InvalidOrientation, Orientation, into_ras, reorient, reorient_like, reoriented_like, to_ras,
};
pub use probability::QuantizedProbability;
pub use resample::{PaddingMode, resample, resample_labels};
pub use segmentation::{Code, Segment, Segmentation, SegmentationFiles, SegmentationVoxels};
pub use volume::{LabelMap, Volume};
