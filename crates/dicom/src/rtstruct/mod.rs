//! Radiotherapy structure sets: contours on slices (PS3.3, A.19 and C.8.8).

mod outline;
mod raster;
mod read;
mod write;

pub use read::OpenStructure;
pub(crate) use read::read_structure_set;
pub use write::write_structure_set;
