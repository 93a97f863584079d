//! What a structure measures: volume, intensities, extent, pieces.

use bipvl_imaging::{BoundingBox, Connectivity, Volume, connected_components, crop_or_pad};
use serde::{Serialize, Serializer};

/// Percentiles that are reported.
pub const PERCENTILES: [u32; 5] = [5, 25, 50, 75, 95];

/// Measurements of one structure; those of an empty one are `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StructureStatistics {
    /// Its name.
    pub name: String,
    /// Number of voxels.
    pub voxels: usize,
    /// Volume in ml.
    pub volume_ml: f64,
    /// Connected components, voxels that share a face.
    pub components: usize,
    /// Intensities, in the unit of the image.
    pub intensity: Option<IntensityStatistics>,
    /// First and last voxel of each axis.
    pub bounding_box: Option<[[usize; 2]; 3]>,
    /// Mean position of its voxels in mm, RAS+.
    pub centroid_mm: Option<[f64; 3]>,
}

/// Intensities within a structure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntensityStatistics {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the population, as `numpy.std`.
    pub standard_deviation: f64,
    /// Lowest.
    pub minimum: f64,
    /// Highest.
    pub maximum: f64,
    /// The [`PERCENTILES`], linearly interpolated as `numpy.percentile`; by their names in JSON, such as `p05`.
    #[serde(serialize_with = "by_name")]
    pub percentiles: [f64; 5],
}

impl StructureStatistics {
    /// Of a mask on the grid of an image.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    pub fn new(name: &str, mask: &Volume<bool>, image: &Volume<f32>) -> Self {
        assert_eq!(mask.grid().shape(), image.grid().shape(), "mask and image have one grid");
        let (mut values, mut sum) = (Vec::new(), [0.0; 3]);
        let mut bounds: Option<[[usize; 2]; 3]> = None;
        for (((x, y, z), is_inside), intensity) in mask.voxels().indexed_iter().zip(image.voxels()) {
            if !*is_inside {
                continue;
            }
            values.push(*intensity);
            let voxel = [x, y, z];
            let bounds = bounds.get_or_insert(voxel.map(|index| [index; 2]));
            for axis in 0..3 {
                sum[axis] += voxel[axis] as f64;
                bounds[axis] = [bounds[axis][0].min(voxel[axis]), bounds[axis][1].max(voxel[axis])];
            }
        }
        let voxels = values.len();
        let voxel_ml = mask.grid().affine().fixed_view::<3, 3>(0, 0).determinant().abs() / 1000.0;
        Self {
            name: name.to_owned(),
            voxels,
            volume_ml: voxels as f64 * voxel_ml,
            components: bounds.map_or(0, |bounds| components(mask, bounds)),
            intensity: IntensityStatistics::of(values),
            bounding_box: bounds,
            centroid_mm: bounds.map(|_| mask.grid().voxel_to_world(sum.map(|sum| sum / voxels as f64))),
        }
    }
}

fn components(mask: &Volume<bool>, bounds: [[usize; 2]; 3]) -> usize {
    let (start, shape) =
        (bounds.map(|[first, _]| first as isize), bounds.map(|[first, last]| last + 1 - first));
    let bounds = BoundingBox { start, shape };
    connected_components(&crop_or_pad(mask, &bounds, false), Connectivity::Face).voxel_counts.len()
}

fn by_name<S: Serializer>(percentiles: &[f64; 5], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(PERCENTILES.iter().map(|percent| format!("p{percent:02}")).zip(percentiles))
}

impl IntensityStatistics {
    fn of(mut values: Vec<f32>) -> Option<Self> {
        values.sort_unstable_by(f32::total_cmp);
        let (minimum, maximum) = (*values.first()?, *values.last()?);
        let count = values.len() as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
        let percentile = |percent: u32| {
            let place = f64::from(percent) / 100.0 * (count - 1.0);
            let [below, above] = [place.floor(), place.ceil()].map(|index| f64::from(values[index as usize]));
            below + (above - below) * place.fract()
        };
        Some(Self {
            mean,
            standard_deviation: variance.sqrt(),
            minimum: f64::from(minimum),
            maximum: f64::from(maximum),
            percentiles: PERCENTILES.map(percentile),
        })
    }
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Affine, Grid};
    use ndarray::Array3;

    use super::*;

    /// float64 sums of a handful of numbers.
    const TOLERANCE: f64 = 1e-12;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < TOLERANCE, "expected {expected}, found {found}");
    }

    #[test]
    fn a_structure_is_measured_as_numpy_and_scipy_do() {
        // Two pieces along x: voxels 0, 1 and 3 with intensities 1, 3, 8; 2 × 1 × 3 mm.
        let mut affine = Affine::new_nonuniform_scaling(&[2.0, 1.0, 3.0].into());
        affine[(0, 3)] = -10.0;
        let grid = Grid::new([5, 1, 1], affine);
        let volume = |values: [f32; 5]| {
            Volume::new(Array3::from_shape_vec((5, 1, 1), values.to_vec()).unwrap(), grid.clone())
        };
        let mask = volume([1.0, 1.0, 0.0, 1.0, 0.0]).map(|value| *value > 0.0);
        let found = StructureStatistics::new("x", &mask, &volume([1.0, 3.0, 99.0, 8.0, 99.0]));
        assert_eq!(
            (found.voxels, found.components, found.bounding_box),
            (3, 2, Some([[0, 3], [0, 0], [0, 0]]))
        );
        near(found.volume_ml, 0.018);
        near(found.centroid_mm.unwrap()[0], 2.0 * 4.0 / 3.0 - 10.0);
        let IntensityStatistics { mean, standard_deviation, percentiles, minimum, maximum } =
            found.intensity.unwrap();
        near(mean, 4.0);
        // numpy.std([1, 3, 8]) and numpy.percentile([1, 3, 8], [5, 25, 50, 75, 95]).
        near(standard_deviation, (26.0_f64 / 3.0).sqrt());
        for (found, expected) in percentiles.into_iter().zip([1.2, 2.0, 3.0, 5.5, 7.5]) {
            near(found, expected);
        }
        assert_eq!([minimum, maximum], [1.0, 8.0]);
    }

    #[test]
    fn an_empty_structure_has_a_volume_of_zero_and_nothing_else() {
        let grid = Grid::with_spacing([2, 2, 2], [1.0; 3]);
        let image = Volume::new(Array3::zeros([2, 2, 2]), grid);
        let found = StructureStatistics::new("x", &image.map(|_| false), &image);
        assert!(found.volume_ml == 0.0 && found.intensity.is_none() && found.centroid_mm.is_none());
    }
}
