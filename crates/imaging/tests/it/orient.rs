//! Turning axes moves no voxel in the world.

use std::collections::HashSet;

use bipvl_imaging::{Affine, Grid, Orientation, Volume, into_ras, reorient, to_ras};
use nalgebra::{Rotation3, Vector3};
use ndarray::Array3;
use proptest::prelude::*;

/// Sums of products of numbers below 1000 in float64.
const WORLD_TOLERANCE_MM: f64 = 1e-9;

/// All orientations: six orders of the axes, eight choices of ends.
fn all_orientations() -> Vec<Orientation> {
    let orders = ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"];
    let letters = |axis, end: usize| match axis {
        'x' => ['R', 'L'][end],
        'y' => ['A', 'P'][end],
        _ => ['S', 'I'][end],
    };
    (0..48)
        .map(|code: usize| {
            let text: String = orders[code / 8]
                .chars()
                .enumerate()
                .map(|(index, axis)| letters(axis, (code >> index) & 1))
                .collect();
            text.parse().unwrap()
        })
        .collect()
}

/// Every voxel holds another number; spacing and origin are exact in float64.
fn numbered(affine: Affine) -> Volume<usize> {
    let shape = [3, 4, 5];
    Volume::new(Array3::from_shape_fn(shape, |(x, y, z)| x + 3 * y + 12 * z), Grid::new(shape, affine))
}

fn ras() -> Volume<usize> {
    numbered(Affine::new(
        0.5, 0.0, 0.0, -10.0, //
        0.0, 2.0, 0.0, 20.0, //
        0.0, 0.0, 3.0, 5.5, //
        0.0, 0.0, 0.0, 1.0,
    ))
}

/// The world position of the voxel that holds each number.
fn places(volume: &Volume<usize>) -> Vec<[f64; 3]> {
    let mut places = vec![[f64::NAN; 3]; 60];
    for ((x, y, z), &number) in volume.voxels().indexed_iter() {
        places[number] = volume.grid().voxel_to_world([x as f64, y as f64, z as f64]);
    }
    places
}

#[test]
fn all_48_orientations_keep_the_world_and_can_be_undone() {
    let orientations = all_orientations();
    assert_eq!(orientations.iter().collect::<HashSet<_>>().len(), 48);
    let original = ras();
    for orientation in orientations {
        let turned = reorient(&original, orientation);
        assert_eq!(Orientation::of(turned.grid()), orientation);
        assert_eq!(places(&turned), places(&original), "{orientation}");
        assert!(turned.voxels().is_standard_layout());
        assert_eq!(to_ras(&turned), original, "{orientation}");
        for other in all_orientations() {
            assert_eq!(reorient(&reorient(&turned, other), orientation), turned);
        }
    }
}

#[test]
fn the_letters_say_where_the_voxel_axes_point() {
    // The first axis runs to the feet, the second to the left, the third to the front.
    let affine = Affine::new(
        0.0, -2.0, 0.0, 0.0, //
        0.0, 0.0, 3.0, 0.0, //
        -1.0, 0.0, 0.0, 0.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    let volume = numbered(affine);
    assert_eq!(Orientation::of(volume.grid()).to_string(), "ILA");
    let turned = to_ras(&volume);
    assert_eq!(turned.grid().shape(), [4, 5, 3]);
    assert_eq!(turned.grid().spacing(), [2.0, 3.0, 1.0]);
    assert_eq!(turned.voxels()[[3, 0, 2]], volume.voxels()[[0, 0, 0]]);
    assert_eq!(turned.voxels()[[0, 4, 0]], volume.voxels()[[2, 3, 4]]);
}

#[test]
fn texts_that_are_no_orientation_are_refused() {
    for text in ["", "RA", "RASS", "RRS", "RLS", "ras", "XYZ", "RAS ", "R1S"] {
        let message = text.parse::<Orientation>().unwrap_err().to_string();
        assert!(message.contains(&format!("{text:?}")), "{message}");
    }
    assert_eq!("RAS".parse(), Ok(Orientation::RAS));
    assert_eq!(format!("{:>5}", Orientation::RAS), "  RAS");
}

#[test]
fn a_sheared_gantry_keeps_its_orientation() {
    let affine = Affine::new(
        -0.9, 0.0, 0.0, 0.0, //
        0.0, -0.9, 1.5, 0.0, //
        0.0, 0.0, 4.0, 0.0, //
        0.0, 0.0, 0.0, 1.0,
    );
    assert_eq!(Orientation::of(numbered(affine).grid()).to_string(), "LPS");
}

proptest! {
    /// A turn by less than 45° in all leaves each axis nearest to its own world axis.
    #[test]
    fn oblique_axes_get_the_letters_of_the_axes_they_were_turned_from(
        code in 0_usize..48,
        axis in prop::array::uniform3(-1.0..1.0_f64),
        degrees in -44.0..44.0_f64,
        spacing in prop::array::uniform3(0.3..5.0_f64),
    ) {
        prop_assume!(Vector3::from(axis).norm() > 0.1);
        let orientation = all_orientations()[code];
        let straight = reorient(&numbered(*Grid::with_spacing([3, 4, 5], spacing).affine()), orientation);
        let turn = Rotation3::new(Vector3::from(axis).normalize() * degrees.to_radians());
        let oblique = numbered(turn.to_homogeneous() * straight.grid().affine());
        prop_assert_eq!(Orientation::of(oblique.grid()), orientation);

        let turned = to_ras(&oblique);
        prop_assert_eq!(Orientation::of(turned.grid()), Orientation::RAS);
        for (a, b) in places(&turned).iter().zip(places(&oblique)) {
            prop_assert!((0..3).all(|axis| (a[axis] - b[axis]).abs() < WORLD_TOLERANCE_MM));
        }
    }
}

#[test]
fn a_volume_in_ras_is_given_back_and_any_other_is_turned() {
    let voxels = Array3::from_shape_fn([2, 3, 4], |(x, y, z)| 12 * x + 4 * y + z);
    let volume = Volume::new(voxels, Grid::with_spacing([2, 3, 4], [1.0, 2.0, 3.0]));
    let place = volume.voxels().as_ptr();
    for orientation in ["LPS", "SRA"] {
        let turned = reorient(&volume, orientation.parse::<Orientation>().unwrap());
        assert_eq!(into_ras(turned), volume, "{orientation}");
    }
    assert_eq!(into_ras(volume).voxels().as_ptr(), place, "not copied");
}
