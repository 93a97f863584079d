//! Distance from each voxel of one surface to the nearest voxel of another.
//!
//! Compared surfaces are mostly close together, so the neighborhood of each voxel is searched first, by increasing
//! distance; only voxels without a site there need the distance transform.

use rayon::prelude::*;

use crate::distance_transform::{Voxel, distances_by_transform};

/// Approximate number of voxels in a neighborhood; beyond it the transform is faster.
const NEIGHBORHOOD_VOXELS: f64 = 400.0;
/// Maximum number of voxels in the box around a neighborhood.
const MAX_BOX_VOXELS: f64 = 16.0 * NEIGHBORHOOD_VOXELS;
/// Minimum number of voxels per rayon task.
const VOXELS_PER_TASK: usize = 1024;

/// For each voxel of `from` the distance in mm to the nearest of `sites`, which are in row-major order (z fastest);
/// infinite without sites.
pub(crate) fn nearest_distances(from: &[Voxel], sites: &[Voxel], spacing: [f64; 3]) -> Vec<f64> {
    if from.is_empty() {
        return Vec::new();
    }
    if !has_neighborhood(spacing) {
        return distances_by_transform(from, sites, spacing);
    }
    let Some(sites_nearby) = SiteBitmap::new(sites, spacing) else { return vec![f64::INFINITY; from.len()] };
    let near = from.par_iter().with_min_len(VOXELS_PER_TASK).map(|voxel| sites_nearby.distance(*voxel));
    let mut distances: Vec<f64> = near.collect();
    let far: Vec<usize> = (0..from.len()).filter(|&index| distances[index].is_infinite()).collect();
    let voxels: Vec<Voxel> = far.iter().map(|&index| from[index]).collect();
    for (index, distance) in far.into_iter().zip(distances_by_transform(&voxels, sites, spacing)) {
        distances[index] = distance;
    }
    distances
}

/// Radius in mm of a neighborhood.
fn radius_mm(spacing: [f64; 3]) -> f64 {
    (NEIGHBORHOOD_VOXELS * spacing.iter().product::<f64>() * 0.75 / std::f64::consts::PI).cbrt()
}

/// Whether the box around a neighborhood is not much larger than it; where one spacing is a thousand times another it is.
fn has_neighborhood(spacing: [f64; 3]) -> bool {
    let radius_mm = radius_mm(spacing);
    spacing.iter().map(|spacing| 2.0 * (radius_mm / spacing).floor() + 1.0).product::<f64>() <= MAX_BOX_VOXELS
}

/// Sites as bits of their padded bounding box, and the offsets to the voxels of a neighborhood.
struct SiteBitmap {
    /// The voxel of the first bit; may be outside the volume.
    origin: [isize; 3],
    shape: [isize; 3],
    bits: Vec<u64>,
    /// By increasing distance.
    offsets: Vec<Offset>,
    /// Largest offset along each axis, in voxels.
    radius: [isize; 3],
}

struct Offset {
    /// Difference of bit indices.
    bits: isize,
    distance_mm: f64,
}

impl SiteBitmap {
    /// `None` without sites.
    fn new(sites: &[Voxel], spacing: [f64; 3]) -> Option<Self> {
        let first = sites.first()?;
        let (mut low, mut high) = (*first, *first);
        for site in sites {
            for axis in 0..3 {
                low[axis] = low[axis].min(site[axis]);
                high[axis] = high[axis].max(site[axis]);
            }
        }
        let radius_mm = radius_mm(spacing);
        let radius = spacing.map(|spacing| (radius_mm / spacing) as isize);
        // Padded twice: for query voxels outside the bounding box, and for their neighborhoods.
        let origin = std::array::from_fn(|axis| low[axis] as isize - 2 * radius[axis]);
        let shape = std::array::from_fn(|axis| (high[axis] - low[axis]) as isize + 1 + 4 * radius[axis]);
        let count = shape.iter().product::<isize>() as usize;
        let offsets = offsets(radius, shape, spacing, radius_mm);
        let mut bitmap = Self { origin, shape, bits: vec![0; count.div_ceil(64)], offsets, radius };
        for site in sites {
            let bit = bitmap.bit(bitmap.position(*site)) as usize;
            bitmap.bits[bit / 64] |= 1 << (bit % 64);
        }
        Some(bitmap)
    }

    fn position(&self, voxel: Voxel) -> [isize; 3] {
        std::array::from_fn(|axis| voxel[axis] as isize - self.origin[axis])
    }

    fn bit(&self, [x, y, z]: [isize; 3]) -> isize {
        (x * self.shape[1] + y) * self.shape[2] + z
    }

    /// Distance in mm to the nearest site in the neighborhood; infinite without one.
    fn distance(&self, voxel: Voxel) -> f64 {
        let position = self.position(voxel);
        let is_inside = (0..3)
            .all(|axis| (self.radius[axis]..self.shape[axis] - self.radius[axis]).contains(&position[axis]));
        if !is_inside {
            return f64::INFINITY;
        }
        let center = self.bit(position);
        let is_site = |offset: &&Offset| {
            let bit = (center + offset.bits) as usize;
            self.bits[bit / 64] >> (bit % 64) & 1 == 1
        };
        self.offsets.iter().find(is_site).map_or(f64::INFINITY, |offset| offset.distance_mm)
    }
}

/// Offsets to all voxels within `radius_mm`, by increasing distance.
fn offsets(radius: [isize; 3], shape: [isize; 3], spacing: [f64; 3], radius_mm: f64) -> Vec<Offset> {
    let mut offsets = Vec::new();
    let along = |axis: usize| -radius[axis]..=radius[axis];
    for (x, y, z) in along(0).flat_map(|x| along(1).flat_map(move |y| along(2).map(move |z| (x, y, z)))) {
        let [x_mm, y_mm, z_mm] = [(x, 0), (y, 1), (z, 2)].map(|(voxels, axis)| voxels as f64 * spacing[axis]);
        // Summed in the order of the transform, for bit-identical results.
        let distance_mm = (z_mm * z_mm + y_mm * y_mm + x_mm * x_mm).sqrt();
        if distance_mm <= radius_mm {
            offsets.push(Offset { bits: (x * shape[1] + y) * shape[2] + z, distance_mm });
        }
    }
    offsets.sort_by(|a, b| a.distance_mm.total_cmp(&b.distance_mm));
    offsets
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn voxels(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Voxel>> {
        btree_set((0..30_u32, 0..7_u32, 0..12_u32), count)
            .prop_map(|set| set.into_iter().map(|(x, y, z)| [x, y, z]).collect())
    }

    proptest! {
        /// Near and far sites, and voxels outside the bounding box of the sites.
        #[test]
        fn the_neighborhood_search_is_bit_identical_to_the_transform(
            from in voxels(0..60),
            sites in voxels(0..20),
            spacing in [0.3..5.0, 0.3..5.0, 0.3..5.0],
        ) {
            let expected = distances_by_transform(&from, &sites, spacing);
            prop_assert_eq!(nearest_distances(&from, &sites, spacing), expected);
        }
    }

    #[test]
    fn extreme_spacing_needs_no_more_memory() {
        let (from, sites) = ([[0, 0, 0], [4, 0, 0]], [[0, 0, 1], [5, 0, 0]]);
        for spacing in [[1.0, 1.0, 1e9], [1e-12, 1.0, 1e-12], [1e150; 3], [1.0, 1e5, 1.0]] {
            assert!(!has_neighborhood(spacing) || spacing == [1e150; 3], "{spacing:?}");
            let expected = distances_by_transform(&from, &sites, spacing);
            assert_eq!(nearest_distances(&from, &sites, spacing), expected);
        }
    }

    #[test]
    fn near_sites_are_found_without_the_transform() {
        let bitmap = SiteBitmap::new(&[[5, 5, 5], [9, 5, 5]], [1.0, 1.0, 2.0]).unwrap();
        assert_eq!(bitmap.distance([6, 5, 5]), 1.0);
        assert_eq!(bitmap.distance([5, 5, 7]), 4.0);
        assert_eq!(bitmap.distance([100, 5, 5]), f64::INFINITY);
        assert_eq!(bitmap.distance([5, 0, 0]), f64::INFINITY);
    }
}
