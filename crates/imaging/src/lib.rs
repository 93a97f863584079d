//! Voxels that know where they are in the body.
//!
//! A [`Volume`] is a 3-D array and its [`Grid`]: shape and affine. Behind the door of this crate the
//! world is RAS+ in millimeters: x points right, y anterior, z superior. Voxels are indexed `[x, y, z]`
//! in the order of the grid's own axes, which may point anywhere until [`to_ras`] turns them.
//!
//! The way of a CT through this crate and back:
//!
//! ```
//! use bipvl_imaging::{Bounds, Outside, crop_or_pad, nifti, phantom, resample, resample_labels, to_ras};
//!
//! # fn main() -> bipvl_imaging::Result<()> {
//! # let folder = tempfile::tempdir().expect("a temporary folder can be made");
//! # let (input, output) = (folder.path().join("ct.nii.gz"), folder.path().join("labels.nii.gz"));
//! nifti::write_image(&input, &phantom::draw(7, [40, 40, 32], [1.5, 1.5, 2.0]).image)?;
//!
//! // In: axes to RAS, voxels of 2 mm, at least 48 of them per axis.
//! let ct = nifti::read_image(&input)?.remove(0);
//! let image = to_ras(&ct);
//! let image = resample(&image, &image.grid().resampled_to([2.0; 3]), Outside::Nearest);
//! let bounds = Bounds::whole(image.grid().shape()).at_least([48; 3]);
//! let image = crop_or_pad(&image, &bounds, -1000.0);
//! assert_eq!(image.grid().shape(), [48, 48, 48]);
//!
//! // Back: whatever was done to the grid, one function puts labels onto the grid of the input file.
//! let prediction = image.map(|&hu| u16::from(hu > 70.0));
//! let labels = resample_labels(&prediction, ct.grid(), Outside::Fill(0));
//! nifti::write_labels(&output, &labels)?;
//! assert_eq!(nifti::read_grid(&output)?, nifti::read_grid(&input)?);
//! # Ok(())
//! # }
//! ```

mod error;
mod grid;
mod volume;
pub mod nifti;
mod orient;
mod placement;
mod resample;
mod crop;
mod components;
pub mod phantom;

pub use components::{Components, Neighbors, components, keep_largest};
pub use crop::{BoundingBox, crop_or_pad, into_cropped};
pub use error::{Error, Result};
pub use grid::{Affine, Grid};
pub use orient::{InvalidOrientation, Orientation, into_ras, reorient, to_ras};
pub use placement::{GridMapping, Tap};
pub use resample::{Outside, resample, resample_labels};
pub use volume::{LabelMap, Volume};
