//! Comparison of grids, lossless reorientation and the limits of resampling.

use bipvl_imaging::{
    Affine, Grid, MAX_VOXELS, Orientation, PaddingMode, Volume, reorient, reorient_like, resample_labels,
};
use ndarray::Array3;
use proptest::prelude::*;

fn image_grid() -> Grid {
    let affine = Affine::new(
        4.0, 0.0, 0.0, -78.0, //
        0.0, 4.0, 0.0, -78.0, //
        0.0, 0.0, 5.0, -97.5, //
        0.0, 0.0, 0.0, 1.0,
    );
    Grid::new([40, 40, 40], affine)
}

/// D15b: the far corner of 39 voxels of 4 mm moves by 156 √2 · 2 sin(½°) = 3.850 mm.
#[test]
fn a_rotation_of_one_degree_is_named() {
    let mut affine = nalgebra::Rotation3::from_axis_angle(&nalgebra::Vector3::z_axis(), 1_f64.to_radians())
        .to_homogeneous()
        * image_grid().affine();
    affine.set_column(3, &image_grid().affine().column(3).into_owned());
    let mismatch = Grid::new([40, 40, 40], affine).ensure_matches(&image_grid()).unwrap_err();
    assert!((mismatch.max_axis_angle() - 1.0).abs() < 1e-9);
    assert!((mismatch.max_corner_distance() - 3.850).abs() < 1e-3);
    assert_eq!(mismatch.to_string(), "axes rotated by 1.00 degrees (corner voxels up to 3.850 mm apart)");
}

#[test]
fn a_mismatch_names_what_differs() {
    let [x, y, z] = [4.0, 4.0, 5.0];
    let grid = |shape, spacing| Grid::with_spacing(shape, spacing);
    let message = |found: Grid| found.ensure_matches(&grid([40, 40, 40], [x, y, z])).unwrap_err().to_string();
    assert_eq!(
        message(grid([40, 40, 41], [x, y, z])),
        "shape 40 × 40 × 41 instead of 40 × 40 × 40 (corner voxels up to 5.000 mm apart)"
    );
    assert_eq!(
        message(grid([40, 40, 40], [x, y, 5.5])),
        "spacing 4 × 4 × 5.5 mm instead of 4 × 4 × 5 mm (corner voxels up to 19.500 mm apart)"
    );
    let flipped = reorient(
        &Volume::new(Array3::<u8>::zeros([40, 40, 40]), grid([40, 40, 40], [x, y, z])),
        "LAS".parse().unwrap(),
    );
    assert_eq!(
        message(flipped.grid().clone()),
        "orientation LAS instead of RAS, origin [156.0, 0.0, 0.0] instead of [0.0, 0.0, 0.0] (corner voxels up to \
         156.000 mm apart)"
    );
    assert!(grid([40, 40, 40], [x, y, z + 1e-6]).ensure_matches(&grid([40, 40, 40], [x, y, z])).is_ok());
}

/// D19: the same voxels, stored as LPS instead of LAS.
#[test]
fn labels_in_another_axis_order_are_reoriented_without_loss() {
    let grid = Grid::with_spacing([3, 4, 5], [1.0, 2.0, 3.0]);
    let labels = Volume::new(Array3::from_shape_fn([3, 4, 5], |(x, y, z)| (x + 3 * y + 12 * z) as u16), grid);
    let image = reorient(&labels, "LAS".parse().unwrap());
    let stored = reorient(&labels, "PIL".parse().unwrap());
    assert_eq!(reorient_like(&stored, image.grid()).unwrap(), image);
}

#[test]
fn other_fields_of_view_are_not_reoriented() {
    let labels = Volume::new(Array3::<u16>::zeros([3, 4, 5]), Grid::with_spacing([3, 4, 5], [1.0, 2.0, 3.0]));
    let shifted = labels.grid().cropped(&bipvl_imaging::BoundingBox { start: [1, 0, 0], shape: [3, 4, 5] });
    assert!(reorient_like(&labels, &shifted).is_err());
    assert!(reorient_like(&labels, &Grid::with_spacing([3, 4, 5], [1.5; 3])).is_err());
    assert!(reorient_like(&labels, &Grid::with_spacing([3, 4, 6], [1.0, 2.0, 3.0])).is_err());
}

/// 40 voxels of 4 m at 4 mm; and a spacing that is no length.
#[test]
fn absurd_resampling_is_refused() {
    let grid = Grid::with_spacing([40, 40, 40], [4000.0, 4000.0, 5000.0]);
    let error = grid.checked_resampled_to([4.0, 4.0, 5.0]).unwrap_err();
    assert_eq!(error.shape, [39_001; 3]);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot resample from a spacing of 4000 × 4000 × 5000 mm to 4 × 4 × 5 mm: 39001 × 39001 × 39001 voxels, \
             the limit is {MAX_VOXELS}"
        )
    );
    assert!(grid.checked_resampled_to([0.0, 1.0, 1.0]).is_err());
    assert!(grid.checked_resampled_to([f64::NAN, 1.0, 1.0]).is_err());
    assert!(grid.checked_resampled_to([1e-300; 3]).is_err());
    assert_eq!(image_grid().checked_resampled_to([2.0; 3]).unwrap(), image_grid().resampled_to([2.0; 3]));
}

proptest! {
    #[test]
    fn reorienting_like_a_grid_equals_nearest_neighbor_resampling(
        shape in prop::array::uniform3(1_usize..5),
        angles in prop::array::uniform3(-3.0_f64..3.0),
        letters in prop::sample::select(vec!["RAS", "LPS", "SAR", "ILP", "PRI", "ASL"]),
    ) {
        let [x, y, z] = angles;
        let affine = nalgebra::Rotation3::from_euler_angles(x, y, z).to_homogeneous()
            * Affine::from_diagonal(&[0.7, 1.1, 2.3, 1.0].into());
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (x + 7 * y + 49 * z) as u16);
        let labels = Volume::new(voxels, Grid::new(shape, affine));
        let target = reorient(&labels, letters.parse::<Orientation>().unwrap());
        let reoriented = reorient_like(&labels, target.grid()).unwrap();
        prop_assert_eq!(&reoriented, &target);
        prop_assert_eq!(resample_labels(&labels, target.grid(), PaddingMode::Constant(9999)), target);
    }
}

#[test]
fn a_union_along_slices_has_all_slices_of_both() {
    let grid = Grid::with_spacing([4, 5, 6], [1.0, 1.0, 2.0]);
    // Slices 3 to 9 of the same stack, and one below.
    let mut affine = *grid.affine();
    affine[(2, 3)] = 6.0;
    let above = grid.union_along_slices(&Grid::new([4, 5, 7], affine));
    assert_eq!((above.shape(), above.voxel_to_world([0.0; 3])), ([4, 5, 10], [0.0; 3]));
    affine[(2, 3)] = -4.0;
    let below = grid.union_along_slices(&Grid::new([4, 5, 1], affine));
    assert_eq!((below.shape(), below.voxel_to_world([0.0; 3])), ([4, 5, 8], [0.0, 0.0, -4.0]));
}
