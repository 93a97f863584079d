//! Draws synthetic bodies with known organs, for tests, the example and the smoke run.

use crate::{LabelMap, Volume};

/// Name and label of every class a phantom shows.
pub const CLASSES: [(&str, u16); 4] = [("right twin", 1), ("left twin", 2), ("rod", 3), ("ball", 4)];

/// A synthetic CT and its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Phantom {
    /// Hounsfield units.
    pub image: Volume<f32>,
    /// The labels of [`CLASSES`]; 0 is background.
    pub labels: LabelMap,
}

/// Draws the phantom.
pub fn draw(seed: u64, shape: [usize; 3], spacing: [f64; 3]) -> Phantom {
    todo!("{seed} {shape:?} {spacing:?}")
}
