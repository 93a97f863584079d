//! Values known beforehand: linear intensities stay linear, constants constant, the same grid the same.

use bipvl_imaging::{Affine, Grid, Orientation, PaddingMode, Volume, reorient, resample, resample_labels};
use nalgebra::{Rotation3, Vector3};
use ndarray::{Array3, array};
use proptest::prelude::*;

/// Float32 intensities below 1000, interpolated in float64.
const INTENSITY_TOLERANCE: f32 = 1e-3;

fn oblique(shape: [usize; 3], spacing: [f64; 3], turn: [f64; 3], origin: [f64; 3]) -> Grid {
    let turn = Rotation3::new(Vector3::from(turn)).to_homogeneous();
    let straight = *Grid::with_spacing(shape, spacing).affine();
    Grid::new(shape, Affine::new_translation(&Vector3::from(origin)) * turn * straight)
}

/// An intensity that rises linearly through the world.
fn slope(world: [f64; 3]) -> f32 {
    (3.0 * world[0] - 2.0 * world[1] + 0.5 * world[2] + 7.0) as f32
}

fn linear(grid: &Grid) -> Volume<f32> {
    let voxels = Array3::from_shape_fn(grid.shape(), |(x, y, z)| {
        slope(grid.voxel_to_world([x as f64, y as f64, z as f64]))
    });
    Volume::new(voxels, grid.clone())
}

/// Four voxels in a row, 2 mm apart.
fn row() -> Volume<f32> {
    Volume::new(array![[[10.0]], [[20.0]], [[40.0]], [[80.0]]], Grid::with_spacing([4, 1, 1], [2.0; 3]))
}

/// A row of points `step` mm apart, the first at `start`.
fn points(count: usize, start: f64, step: f64) -> Grid {
    oblique([count, 1, 1], [step, 1.0, 1.0], [0.0; 3], [start, 0.0, 0.0])
}

#[test]
fn values_between_voxels_are_shared_by_distance() {
    let sampled = resample(&row(), &points(7, 0.0, 1.0), PaddingMode::Border);
    assert_eq!(sampled.into_voxels().into_raw_vec_and_offset().0, [10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0]);
}

#[test]
fn outside_the_border_value_or_the_fill_value_holds() {
    // The outermost faces are at −1 and 7 mm.
    let grid = points(12, -2.0, 1.0);
    let flat = |outside| resample(&row(), &grid, outside).into_voxels().into_raw_vec_and_offset().0;
    let inside = [10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0];
    assert_eq!(flat(PaddingMode::Border), [&[10.0, 10.0][..], &inside, &[80.0; 3]].concat());
    assert_eq!(flat(PaddingMode::Constant(-1.0)), [&[-1.0, 10.0][..], &inside, &[80.0, -1.0, -1.0]].concat());
}

#[test]
fn labels_are_never_mixed() {
    let labels = row().map(|&value| value as u16);
    let flat = |grid: &Grid, outside| {
        resample_labels(&labels, grid, outside).into_voxels().into_raw_vec_and_offset().0
    };
    assert_eq!(flat(&points(5, 0.5, 1.3), PaddingMode::Border), [10, 20, 40, 40, 80]);
    assert_eq!(flat(&points(4, -1.5, 3.0), PaddingMode::Constant(7)), [7, 20, 40, 7]);
    // Halfway the even voxel wins: 0 before 1, 2 before 1, 2 before 3.
    assert_eq!(flat(&points(3, 1.0, 2.0), PaddingMode::Border), [10, 40, 40]);
}

#[test]
fn a_grid_without_voxels_gets_none() {
    let empty = Grid::with_spacing([0, 3, 2], [1.0; 3]);
    assert_eq!(resample(&row(), &empty, PaddingMode::Border).voxels().len(), 0);
}

#[test]
fn flipped_and_permuted_grids_give_the_reoriented_volume() {
    let grid = oblique([5, 6, 7], [1.0, 2.0, 3.0], [0.3, -0.2, 0.1], [4.0, 5.0, 6.0]);
    let labels = Volume::new(Array3::from_shape_fn([5, 6, 7], |(x, y, z)| (x + 5 * y + 30 * z) as u16), grid);
    for text in ["LPS", "SRA", "PIL"] {
        let turned = reorient(&labels, text.parse::<Orientation>().unwrap());
        assert_eq!(resample_labels(&labels, turned.grid(), PaddingMode::Constant(9999)), turned);
        assert_eq!(resample_labels(&turned, labels.grid(), PaddingMode::Constant(9999)), labels);
        let image = labels.map(|&label| f32::from(label));
        let back =
            resample(&turned.map(|&label| f32::from(label)), image.grid(), PaddingMode::Constant(-1.0));
        assert!(back.voxels().iter().zip(image.voxels()).all(|(a, b)| (a - b).abs() < INTENSITY_TOLERANCE));
    }
}

#[test]
fn respacing_keeps_the_first_voxel_and_counts_centers() {
    // 9 intervals of 1 mm are 6 of 1.5 mm; 4 of 2 mm are 4; 2 of 3 mm are 3 of 2 mm: one more voxel each.
    let resampled_to = Grid::with_spacing([10, 5, 3], [1.0, 2.0, 3.0]).resampled_to([1.5, 2.0, 2.0]);
    assert_eq!(resampled_to, Grid::with_spacing([7, 5, 4], [1.5, 2.0, 2.0]));
    // (n − 1) · old ÷ new + 1 = 2.5, 3.5, 1.4: halves go to the even number.
    let halves = Grid::with_spacing([4, 6, 2], [1.0; 3]).resampled_to([2.0, 2.0, 2.5]);
    assert_eq!(halves.shape(), [2, 4, 1]);
}

#[test]
fn respacing_keeps_mirrored_axes() {
    let affine = Affine::new(
        0.0, -2.0, 0.0, 5.0, //
        -1.0, 0.0, 0.0, 6.0, //
        0.0, 0.0, 3.0, 7.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    let resampled_to = Grid::new([11, 6, 3], affine).resampled_to([2.0, 1.0, 1.5]);
    let expected = Affine::new(
        0.0, -1.0, 0.0, 5.0, //
        -2.0, 0.0, 0.0, 6.0, //
        0.0, 0.0, 1.5, 7.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    assert!(resampled_to.approx_eq(&Grid::new([6, 11, 5], expected)), "{resampled_to:?}");
}

fn spacing() -> impl Strategy<Value = [f64; 3]> {
    prop::array::uniform3(0.4..3.0_f64)
}

fn turn() -> impl Strategy<Value = [f64; 3]> {
    prop_oneof![
        Just([0.0; 3]),
        Just([0.0, 0.0, std::f64::consts::FRAC_PI_2]),
        prop::array::uniform3(-2.0..2.0_f64)
    ]
}

proptest! {
    /// Interpolation of a linear function is exact wherever all eight neighbors exist.
    #[test]
    fn linear_intensities_stay_linear_between_any_two_grids(
        from in (spacing(), turn()),
        to in (spacing(), turn()),
        origin in prop::array::uniform3(-4.0..4.0_f64),
    ) {
        let source = oblique([9, 10, 11], from.0, from.1, [0.0; 3]);
        let target = oblique([8, 7, 6], to.0, to.1, origin);
        let sampled = resample(&linear(&source), &target, PaddingMode::Constant(f32::NAN));
        let to_source = target.voxel_to_voxel(&source);
        for ((x, y, z), &value) in sampled.voxels().indexed_iter() {
            let voxel = [x as f64, y as f64, z as f64];
            let place = to_source * nalgebra::Vector4::new(voxel[0], voxel[1], voxel[2], 1.0);
            let beyond = |margin: f64| (0..3).any(|axis| {
                place[axis] < -margin || place[axis] > source.shape()[axis] as f64 - 1.0 + margin
            });
            if !beyond(-0.001) {
                prop_assert!((value - slope(target.voxel_to_world(voxel))).abs() < 10.0 * INTENSITY_TOLERANCE);
            }
            // Aligned grids may be off by the tolerance under which they count as aligned.
            if beyond(0.501) {
                prop_assert!(value.is_nan());
            }
            if !beyond(0.499) {
                prop_assert!(value.is_finite());
            }
        }
    }

    #[test]
    fn a_constant_stays_constant(from in (spacing(), turn()), to in (spacing(), turn())) {
        let source = oblique([4, 5, 6], from.0, from.1, [1.0, 2.0, 3.0]);
        let target = oblique([6, 5, 4], to.0, to.1, [0.0; 3]);
        let constant = Volume::new(Array3::from_elem([4, 5, 6], 0.1_f32), source);
        let sampled = resample(&constant, &target, PaddingMode::Border);
        prop_assert!(sampled.voxels().iter().all(|&value| value == 0.1));
    }

    #[test]
    fn the_same_grid_gives_the_same_volume(spacing in spacing(), turn in turn()) {
        let image = linear(&oblique([4, 5, 6], spacing, turn, [9.0, -8.0, 7.0]));
        let same = resample(&image, image.grid(), PaddingMode::Constant(f32::NAN));
        for (a, b) in same.voxels().iter().zip(image.voxels()) {
            prop_assert!((a - b).abs() < INTENSITY_TOLERANCE);
        }
        let labels = image.map(|&value| value.abs() as u16);
        prop_assert_eq!(resample_labels(&labels, labels.grid(), PaddingMode::Constant(9999)), labels);
    }

    #[test]
    fn respacing_keeps_directions_and_covers_the_centers(
        shape in prop::array::uniform3(1_usize..40),
        from in (spacing(), turn()),
        to in spacing(),
    ) {
        let grid = oblique(shape, from.0, from.1, [3.0, 2.0, 1.0]);
        let resampled_to = grid.resampled_to(to);
        for (axis, mm) in to.into_iter().enumerate() {
            prop_assert!((resampled_to.spacing()[axis] - mm).abs() < 1e-9);
            let directions = [&grid, &resampled_to].map(|grid| grid.affine().column(axis).normalize());
            prop_assert!((directions[0] - directions[1]).norm() < 1e-9);
            let extents = [&grid, &resampled_to].map(|grid| (grid.shape()[axis] - 1) as f64 * grid.spacing()[axis]);
            prop_assert!((extents[0] - extents[1]).abs() <= mm / 2.0 + 1e-9);
        }
        let origins = [&grid, &resampled_to].map(|grid| grid.affine().column(3).into_owned());
        prop_assert!((origins[0] - origins[1]).norm() < 1e-9);
    }
}
