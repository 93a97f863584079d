//! DICOM: series into volumes, segmentations into SEG, RTSTRUCT and SR, and back.
//!
//! A [`Study`] lists the volumes below a path and reads one. Coordinates are converted from LPS to RAS+ mm where a
//! volume is made, nowhere else.

mod attributes;
mod codes;
mod codestream;
mod derived;
mod error;
mod guard;
mod instance;
mod labels;
mod object;
pub mod phantom;
mod pixel_format;
mod pixels;
mod rtstruct;
mod seg;
mod source;
mod standardize;
mod sr;
mod stack;
mod study;
mod uid;

pub use derived::{Algorithm, Source};
pub use error::{Error, Result};
pub use labels::{LabelMasks, LabeledSeries, LeftOut, placed_labels};
pub use pixels::is_decoding;
pub use rtstruct::{OpenStructure, write_structure_set};
pub use seg::{SegmentVoxels, SegmentationKind, write_segmentation};
pub use source::is_dicom_file;
pub use sr::{Measurement, write_report};
pub use study::{SeriesVolume, Skipped, Study};

/// A DICOM object with its file meta information, as it is written to a file.
pub type Object = dicom_object::FileDicomObject<dicom_object::InMemDicomObject>;
