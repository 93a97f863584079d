//! The voxels that a prompt found, or that a reference names, by their places in the volume.

use ndarray::Array3;

use crate::validate::{MIN_FOUND_VOXELS, Overlap};

/// Voxels of a volume by their place in memory order, sorted: most masks are small beside their volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    places: Vec<u32>,
}

impl Mask {
    /// Of these places, in any order.
    pub fn new(mut places: Vec<u32>) -> Self {
        places.sort_unstable();
        places.dedup();
        Self { places }
    }

    /// The voxels whose label is one of these.
    pub fn of_labels(labels: &Array3<u8>, named: &[u8]) -> Self {
        let places = (0..).zip(labels).filter(|(_, label)| named.contains(label));
        Self { places: places.map(|(place, _)| place).collect() }
    }

    /// Number of voxels.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no voxel.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether there are too few voxels for a finding.
    pub fn is_silent(&self) -> bool {
        self.len() < MIN_FOUND_VOXELS
    }

    /// The places in memory order.
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// The voxels that are not in another mask.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let is_left = |place: &u32| other.places.binary_search(place).is_err();
        Self { places: self.places.iter().copied().filter(is_left).collect() }
    }

    /// Dice with another mask; `None` where neither has a voxel.
    pub fn dice(&self, reference: &Self) -> Option<f64> {
        self.overlap(reference).dice()
    }

    /// The share of the voxels that lie in a region; `None` without voxels.
    pub fn share_in(&self, region: &Self) -> Option<f64> {
        let both = self.overlap(region).both;
        (!self.is_empty()).then(|| both as f64 / self.len() as f64)
    }

    /// The voxels in one of two masks alone, as a share of those in either; `None` where neither has a voxel.
    pub fn changed(&self, other: &Self) -> Option<f64> {
        let Overlap { found, reference, both } = self.overlap(other);
        let either = found + reference - both;
        (either > 0).then(|| (either - both) as f64 / either as f64)
    }

    fn overlap(&self, reference: &Self) -> Overlap {
        let [few, many] = if self.len() < reference.len() { [self, reference] } else { [reference, self] };
        let both = few.places.iter().filter(|place| many.places.binary_search(place).is_ok()).count();
        Overlap { found: self.len(), reference: reference.len(), both }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_by_hand() {
        // Four voxels, three of them among the six of the twin, one among the two of the first.
        let (found, twin, first) =
            (Mask::new(vec![7, 2, 3, 4]), Mask::new((2..=6).chain([9]).collect()), Mask::new(vec![7, 8]));
        assert_eq!(found.share_in(&twin), Some(0.75));
        assert_eq!(found.dice(&twin), Some(2.0 * 3.0 / (4.0 + 6.0)));
        assert_eq!(found.dice(&first), Some(2.0 / 6.0));
        // In one alone: 7 of the found, 5, 6, 9 of the twin; in either: 4 + 6 - 3.
        assert_eq!(found.changed(&twin), Some(4.0 / 7.0));
        assert_eq!(found.without(&first), Mask::new(vec![2, 3, 4]));
    }

    #[test]
    fn of_nothing_there_is_no_share() {
        let (nothing, some) = (Mask::default(), Mask::new(vec![1]));
        assert_eq!(
            (nothing.share_in(&some), nothing.dice(&nothing), nothing.changed(&nothing)),
            (None, None, None)
        );
        assert_eq!((nothing.dice(&some), nothing.changed(&some)), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn fewer_than_eight_voxels_are_no_finding() {
        assert!(Mask::new((0..7).collect()).is_silent() && !Mask::new((0..8).collect()).is_silent());
    }
}
