//! The recipe on real files against MONAI's transforms in the same order; how their numbers were made
//! stands in `tests/reference/preprocessing.py`.
//!
//! Two deviations are on purpose. Orientation comes before spacing, where scripts for MONAI have either
//! order. And the foreground is what is not zero, where `CropForeground` takes what is above zero by
//! default: with z-scores that would cut off the dark half of the intensities. The reference sets `select_fn`.

use std::path::PathBuf;

use bipvl::data::{Intensity, PreprocessConfig, PreprocessedCase, read_channels};
use bipvl_imaging::Affine;
use ndarray::Axis;
use serde::Deserialize;

use crate::real_data;

/// Affines are made of a few float64 products, in millimeters.
const AFFINE_MM: f64 = 1e-9;
/// Intensities of a few thousand in float32 become numbers below ten; MONAI takes their mean in float32 too.
const FLOAT32: f64 = 1e-5;

#[derive(Deserialize)]
struct Case {
    image: PathBuf,
    spacing: Option<[f64; 3]>,
    window: Option<[f32; 2]>,
    patch: [usize; 3],
    prepared: Digest,
}

/// What is left of a prepared volume.
#[derive(Deserialize)]
struct Digest {
    shape: [usize; 3],
    affine: [[f64; 4]; 4],
    /// The sum of the voxels and of the voxels times each index.
    sums: [f64; 4],
    samples: Vec<([usize; 3], f64)>,
}

#[test]
fn real_files_are_prepared_as_by_monai() {
    let Some(data) = real_data("") else { return };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/preprocessing.json");
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for Case { image, spacing, window, patch, prepared } in cases {
        let intensity = window
            .map_or(Intensity::ZScore, |[low, high]| Intensity::ClipAndScale { a_min: low, a_max: high });
        let recipe = PreprocessConfig { spacing, intensity, crop_foreground: true, patch_size: patch };
        let channels = read_channels(&[data.join(image)]).unwrap();
        prepared.assert_same(&recipe.prepare(channels));
    }
}

impl Digest {
    #[track_caller]
    fn assert_same(&self, found: &PreprocessedCase) {
        assert_eq!(found.grid.shape(), self.shape);
        let affine = Affine::from_fn(|row, column| self.affine[row][column]);
        let distance = (found.grid.affine() - affine).amax();
        assert!(distance <= AFFINE_MM, "expected {affine}, found {}", found.grid.affine());

        let voxels = found.image.index_axis(Axis(0), 0).mapv(f64::from);
        for &(place, expected) in &self.samples {
            let found = voxels[place];
            assert!((found - expected).abs() <= FLOAT32, "{place:?}: expected {expected}, found {found}");
        }
        let (mut sums, mut sizes) = ([0.0; 4], [0.0; 4]);
        for ((x, y, z), voxel) in voxels.indexed_iter() {
            for (index, factor) in [1, x, y, z].into_iter().enumerate() {
                sums[index] += voxel * factor as f64;
                sizes[index] += voxel.abs() * factor as f64;
            }
        }
        for ((found, expected), size) in sums.into_iter().zip(self.sums).zip(sizes) {
            assert!((found - expected).abs() <= FLOAT32 * size, "sum: expected {expected}, found {found}");
        }
    }
}
