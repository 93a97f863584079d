//! Probabilities in one byte.

use crate::{BoundingBox, Volume, crop_or_pad};

/// A probability in steps of 1/255, as a fractional DICOM segmentation with the maximum 255 stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuantizedProbability(pub u8);

impl QuantizedProbability {
    /// The steps from 0 to 1.
    pub const STEPS: f32 = 255.0;

    /// The nearest step.
    pub fn new(probability: f32) -> Self {
        Self((probability * Self::STEPS).round() as u8)
    }

    /// The probabilities of a volume, cropped to the smallest box around those of at least half a step; the first voxel alone
    /// where there is none.
    pub fn cropped(probabilities: &Volume<f32>) -> Volume<Self> {
        let steps = probabilities.map(|probability| Self::new(*probability));
        let is_positive = steps.map(|Self(steps)| *steps > 0);
        let bounds = BoundingBox::of_mask(&is_positive).unwrap_or_else(|| BoundingBox::whole([1; 3]));
        crop_or_pad(steps, &bounds, Self(0))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::Grid;

    #[test]
    fn voxels_keep_their_place_in_the_world() {
        let mut voxels = Array3::zeros((6, 5, 4));
        voxels[(2, 3, 1)] = 0.2;
        voxels[(4, 3, 2)] = 1.0;
        voxels[(0, 0, 0)] = 0.4 / 255.0;
        let volume = Volume::new(voxels, Grid::with_spacing([6, 5, 4], [2.0, 1.0, 3.0]));
        let cropped = QuantizedProbability::cropped(&volume);
        assert_eq!(cropped.grid().shape(), [3, 1, 2]);
        assert_eq!(cropped.grid().voxel_to_world([0.0; 3]), volume.grid().voxel_to_world([2.0, 3.0, 1.0]));
        let steps: Vec<u8> = cropped.voxels().iter().map(|QuantizedProbability(steps)| *steps).collect();
        assert_eq!(steps, [51, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn a_volume_without_probability_is_one_voxel() {
        let volume = Volume::new(Array3::from_elem((3, 3, 3), 0.001), Grid::with_spacing([3; 3], [1.0; 3]));
        let cropped = QuantizedProbability::cropped(&volume);
        assert_eq!((cropped.grid().shape(), cropped.voxels()[(0, 0, 0)]), ([1; 3], QuantizedProbability(0)));
    }
}
