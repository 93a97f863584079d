//! Voxels that know where they are in the body.
//!
//! A [`Volume`] is a 3-D array and its [`Grid`]: shape and affine. Behind the door of this crate the
//! world is RAS+ in millimetres: x points right, y anterior, z superior.

mod error;
mod grid;
mod volume;
pub mod nifti;
mod orient;
mod resample;
mod crop;
mod components;
pub mod phantom;

pub use components::{Components, Neighbors, components, keep_largest};
pub use crop::{Bounds, crop_pad};
pub use error::{Error, Result};
pub use grid::{Affine, Grid};
pub use orient::{InvalidOrientation, Orientation, reorient, to_ras};
pub use resample::{Outside, resample, resample_labels};
pub use volume::{LabelMap, Volume};
