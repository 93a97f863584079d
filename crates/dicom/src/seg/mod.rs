//! DICOM segmentations: binary, fractional, label map.

mod bits;
mod frames;
mod placement;
mod read;
mod write;

pub(crate) use read::{read_segmentation, segment_names};
pub(crate) use write::BINARY_ROLE;
pub use write::{SegmentVoxels, SegmentationKind, write_segmentation};
