//! From each voxel of one surface to the nearest of another.
//!
//! Surfaces that are compared mostly lie close together. So the voxels around are tried first, the nearest of them first;
//! only what finds nothing near by asks the distance transform.

use rayon::prelude::*;

use crate::distance_transform::{Voxel, distances_by_transform};

/// About how many voxels are tried around each; with more, the transform is faster.
const TRIED: f64 = 400.0;
/// A thread takes at least so many voxels at a time.
const VOXELS_PER_TASK: usize = 1024;

/// For each voxel of `from` the distance in mm to the nearest of `sites`, which are in the order of storage
/// (z fastest); infinite when there is none.
pub(crate) fn nearest_distances(from: &[Voxel], sites: &[Voxel], spacing: [f64; 3]) -> Vec<f64> {
    let Some(around) = Around::new(sites, spacing) else { return vec![f64::INFINITY; from.len()] };
    let near = from.par_iter().with_min_len(VOXELS_PER_TASK).map(|voxel| around.distance(*voxel));
    let mut distances: Vec<f64> = near.collect();
    let far: Vec<usize> = (0..from.len()).filter(|&index| distances[index].is_infinite()).collect();
    let voxels: Vec<Voxel> = far.iter().map(|&index| from[index]).collect();
    for (index, distance) in far.into_iter().zip(distances_by_transform(&voxels, sites, spacing)) {
        distances[index] = distance;
    }
    distances
}

/// Sites as bits of a box around them, and the steps to the voxels around a voxel.
struct Around {
    /// The voxel of the first bit; it may lie outside the volume.
    corner: [isize; 3],
    shape: [isize; 3],
    bits: Vec<u64>,
    /// By distance.
    steps: Vec<Step>,
    /// How far the steps go along each axis.
    reach: [isize; 3],
}

struct Step {
    /// From bit to bit.
    bits: isize,
    distance_mm: f64,
}

impl Around {
    /// Nothing where there is no site.
    fn new(sites: &[Voxel], spacing: [f64; 3]) -> Option<Self> {
        let first = sites.first()?;
        let (mut low, mut high) = (*first, *first);
        for site in sites {
            for axis in 0..3 {
                low[axis] = low[axis].min(site[axis]);
                high[axis] = high[axis].max(site[axis]);
            }
        }
        let radius = (TRIED * spacing.iter().product::<f64>() * 0.75 / std::f64::consts::PI).cbrt();
        let reach = spacing.map(|spacing| (radius / spacing) as isize);
        // Once for a voxel beside the box, once for its steps.
        let corner = std::array::from_fn(|axis| low[axis] as isize - 2 * reach[axis]);
        let shape = std::array::from_fn(|axis| (high[axis] - low[axis]) as isize + 1 + 4 * reach[axis]);
        let count = shape.iter().product::<isize>() as usize;
        let steps = steps(reach, shape, spacing, radius);
        let mut around = Self { corner, shape, bits: vec![0; count.div_ceil(64)], steps, reach };
        for site in sites {
            let bit = around.bit(around.place(*site)) as usize;
            around.bits[bit / 64] |= 1 << (bit % 64);
        }
        Some(around)
    }

    fn place(&self, voxel: Voxel) -> [isize; 3] {
        std::array::from_fn(|axis| voxel[axis] as isize - self.corner[axis])
    }

    fn bit(&self, [x, y, z]: [isize; 3]) -> isize {
        (x * self.shape[1] + y) * self.shape[2] + z
    }

    /// To the nearest site within the steps; infinite where there is none.
    fn distance(&self, voxel: Voxel) -> f64 {
        let place = self.place(voxel);
        let is_beside =
            (0..3).all(|axis| (self.reach[axis]..self.shape[axis] - self.reach[axis]).contains(&place[axis]));
        if !is_beside {
            return f64::INFINITY;
        }
        let own = self.bit(place);
        let is_site = |step: &&Step| {
            let bit = (own + step.bits) as usize;
            self.bits[bit / 64] >> (bit % 64) & 1 == 1
        };
        self.steps.iter().find(is_site).map_or(f64::INFINITY, |step| step.distance_mm)
    }
}

/// To all voxels within `radius` mm.
fn steps(reach: [isize; 3], shape: [isize; 3], spacing: [f64; 3], radius: f64) -> Vec<Step> {
    let mut steps = Vec::new();
    let along = |axis: usize| -reach[axis]..=reach[axis];
    for (x, y, z) in along(0).flat_map(|x| along(1).flat_map(move |y| along(2).map(move |z| (x, y, z)))) {
        let [x_mm, y_mm, z_mm] = [(x, 0), (y, 1), (z, 2)].map(|(steps, axis)| steps as f64 * spacing[axis]);
        // In the order in which the transform adds.
        let distance_mm = (z_mm * z_mm + y_mm * y_mm + x_mm * x_mm).sqrt();
        if distance_mm <= radius {
            steps.push(Step { bits: (x * shape[1] + y) * shape[2] + z, distance_mm });
        }
    }
    steps.sort_by(|a, b| a.distance_mm.total_cmp(&b.distance_mm));
    steps
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn voxels(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Voxel>> {
        btree_set((0..30_usize, 0..7_usize, 0..12_usize), count)
            .prop_map(|set| set.into_iter().map(|(x, y, z)| [x, y, z]).collect())
    }

    proptest! {
        /// Some sites are near, some far, some voxels beside the box of the sites.
        #[test]
        fn trying_the_voxels_around_first_changes_no_bit(
            from in voxels(0..60),
            sites in voxels(0..20),
            spacing in [0.3..5.0, 0.3..5.0, 0.3..5.0],
        ) {
            let expected = distances_by_transform(&from, &sites, spacing);
            prop_assert_eq!(nearest_distances(&from, &sites, spacing), expected);
        }
    }

    #[test]
    fn what_lies_nearer_than_all_that_is_tried_is_found_without_the_transform() {
        let around = Around::new(&[[5, 5, 5], [9, 5, 5]], [1.0, 1.0, 2.0]).unwrap();
        assert_eq!(around.distance([6, 5, 5]), 1.0);
        assert_eq!(around.distance([5, 5, 7]), 4.0);
        assert_eq!(around.distance([100, 5, 5]), f64::INFINITY);
        assert_eq!(around.distance([5, 0, 0]), f64::INFINITY);
    }
}
