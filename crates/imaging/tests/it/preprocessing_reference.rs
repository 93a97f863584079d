//! Real files against MONAI's `Orientation` and `Spacing` and SimpleITK's resampling; how their numbers
//! were made stands in `tests/reference/preprocessing.py`.
//!
//! One deviation is on purpose: labels halfway between two voxels. Ours go to the even voxel; MONAI's go
//! where the rounding of a normalized coordinate lets them fall. The script left those places out, and so
//! does the comparison.

use std::path::{Path, PathBuf};

use bipvl_imaging::{Affine, Grid, PaddingMode, Volume, resample, resample_labels, to_ras};
use nalgebra::Vector4;
use serde::Deserialize;

/// Affines are made of a few float64 products, in millimeters.
const AFFINE_MM: f64 = 1e-9;
/// Both implementations hold the intensities, a few thousand at most, in float32.
const FLOAT32: f64 = 1e-6;
/// As in the script: a place this near to the middle between two voxels counts as halfway.
const HALFWAY_VOXELS: f64 = 1e-3;
/// As in the script: intensity and label outside the file.
const OUTSIDE: (f32, u16) = (-1000.0, 99);

#[derive(Deserialize)]
struct Reference {
    monai: Vec<Case>,
    simple_itk: OnObliqueGrid,
}

#[derive(Deserialize)]
struct Case {
    image: PathBuf,
    labels: PathBuf,
    oriented_image: Digest,
    oriented_labels: Digest,
    spaced: Vec<Spaced>,
}

#[derive(Deserialize)]
struct Spaced {
    spacing: [f64; 3],
    image: Digest,
    labels: Digest,
}

#[derive(Deserialize)]
struct OnObliqueGrid {
    image: PathBuf,
    labels: PathBuf,
    oblique_image: Digest,
    oblique_labels: Digest,
}

/// What is left of a volume.
#[derive(Deserialize)]
struct Digest {
    shape: [usize; 3],
    affine: [[f64; 4]; 4],
    /// The sum of the voxels and of the voxels times each index.
    sums: [f64; 4],
    samples: Vec<([usize; 3], f64)>,
}

impl Digest {
    fn grid(&self) -> Grid {
        Grid::new(self.shape, Affine::from_fn(|row, column| self.affine[row][column]))
    }

    #[track_caller]
    fn assert_grid(&self, found: &Grid) {
        assert_eq!(found.shape(), self.shape);
        let expected = self.grid();
        let distance = (found.affine() - expected.affine()).amax();
        assert!(distance <= AFFINE_MM, "expected {}, found {}", expected.affine(), found.affine());
    }

    /// Voxels of which `counts` says no were left out of the sums.
    #[track_caller]
    fn assert_voxels<T: Copy + Into<f64>>(&self, found: &Volume<T>, counts: impl Fn([usize; 3]) -> bool) {
        let largest = found.voxels().iter().fold(0.0, |largest: f64, &voxel| largest.max(voxel.into().abs()));
        for &(place, expected) in &self.samples {
            let found: f64 = found.voxels()[place].into();
            assert!((found - expected).abs() <= FLOAT32 * largest, "{place:?}: {expected}, found {found}");
        }
        let (mut sums, mut sizes) = ([0.0; 4], [0.0; 4]);
        for ((x, y, z), &voxel) in found.voxels().indexed_iter().filter(|((x, y, z), _)| counts([*x, *y, *z]))
        {
            for (index, factor) in [1, x, y, z].into_iter().enumerate() {
                sums[index] += voxel.into() * factor as f64;
                sizes[index] += voxel.into().abs() * factor as f64;
            }
        }
        for ((found, expected), size) in sums.into_iter().zip(self.sums).zip(sizes) {
            assert!((found - expected).abs() <= FLOAT32 * size, "sum: {expected}, found {found}");
        }
    }
}

#[test]
fn real_files_are_oriented_and_respaced_as_by_monai() {
    let Some((data, reference)) = data_and_reference() else { return };
    for case in reference.monai {
        let image = to_ras(&bipvl_imaging::read(&data.join(case.image)).unwrap().channels.remove(0));
        let labels = to_ras(&bipvl_imaging::read_labels(&data.join(case.labels)).unwrap());
        case.oriented_image.assert_grid(image.grid());
        case.oriented_image.assert_voxels(&image, |_| true);
        case.oriented_labels.assert_grid(labels.grid());
        case.oriented_labels.assert_voxels(&labels, |_| true);
        for spaced in case.spaced {
            let grid = image.grid().resampled_to(spaced.spacing);
            spaced.image.assert_grid(&grid);
            spaced.image.assert_voxels(&resample(&image, &grid, PaddingMode::Border), |_| true);
            let grid = labels.grid().resampled_to(spaced.spacing);
            spaced.labels.assert_grid(&grid);
            let placed = resample_labels(&labels, &grid, PaddingMode::Border);
            spaced.labels.assert_voxels(&placed, apart_from_halfway(&grid, labels.grid()));
        }
    }
}

#[test]
fn a_real_file_is_put_on_an_oblique_grid_as_by_simple_itk() {
    let Some((data, Reference { simple_itk, .. })) = data_and_reference() else { return };
    let grid = simple_itk.oblique_image.grid();
    let image = bipvl_imaging::read(&data.join(simple_itk.image)).unwrap().channels.remove(0);
    let placed = resample(&image, &grid, PaddingMode::Constant(OUTSIDE.0));
    simple_itk.oblique_image.assert_voxels(&placed, |_| true);
    let labels = bipvl_imaging::read_labels(&data.join(simple_itk.labels)).unwrap();
    let placed = resample_labels(&labels, &grid, PaddingMode::Constant(OUTSIDE.1));
    simple_itk.oblique_labels.assert_voxels(&placed, apart_from_halfway(&grid, labels.grid()));
}

fn data_and_reference() -> Option<(PathBuf, Reference)> {
    let Some(data) = std::env::var_os("BIPVL_DATA").map(PathBuf::from) else {
        #[allow(clippy::print_stderr, reason = "whoever runs the tests should know that one was skipped")]
        {
            eprintln!("skipped: BIPVL_DATA names no folder of scans");
        }
        return None;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/preprocessing.json");
    Some((data, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()))
}

/// Whether no coordinate of a voxel of `grid` lies in the middle between two voxels of `source`.
fn apart_from_halfway(grid: &Grid, source: &Grid) -> impl Fn([usize; 3]) -> bool + use<> {
    let to_source = grid.voxel_to_voxel(source);
    move |[x, y, z]| {
        let place = to_source * Vector4::new(x as f64, y as f64, z as f64, 1.0);
        place.xyz().iter().all(|coordinate| {
            let past_floor = coordinate - coordinate.floor();
            (past_floor - 0.5).abs() >= HALFWAY_VOXELS
        })
    }
}
