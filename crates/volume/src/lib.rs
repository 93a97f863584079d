//! Voxels that know where they are in the body.
//!
//! A [`Volume`] is a 3-D array and its [`Grid`]: shape and affine. Behind the door of this crate the
//! world is RAS+ in millimetres: x points right, y anterior, z superior.

mod error;
mod grid;
mod volume;

pub use error::{Error, Result};
pub use grid::{Affine, Grid};
pub use volume::{LabelMap, Volume};
