//! Cropping and padding can be counted by hand and undone.

use bipvl_imaging::{BoundingBox, Grid, Volume, crop_or_pad};
use ndarray::{Array3, array};
use proptest::prelude::*;

fn numbered(shape: [usize; 3]) -> Volume<i32> {
    let [x_length, y_length, _] = shape;
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| (x + x_length * (y + y_length * z)) as i32);
    Volume::new(voxels, Grid::with_spacing(shape, [1.0, 2.0, 4.0]))
}

#[test]
fn a_box_reaching_beyond_both_ends_is_padded_there() {
    let row = Volume::new(array![[[1, 2, 3]]], Grid::with_spacing([1, 1, 3], [1.0, 1.0, 5.0]));
    let padded = crop_or_pad(&row, &BoundingBox { start: [0, 0, -2], shape: [1, 1, 7] }, 0);
    assert_eq!(padded.voxels(), array![[[0, 0, 1, 2, 3, 0, 0]]]);
    assert_eq!(padded.grid().voxel_to_world([0.0, 0.0, 0.0]), [0.0, 0.0, -10.0]);
    let cropped = crop_or_pad(&row, &BoundingBox { start: [0, 0, 1], shape: [1, 1, 1] }, 0);
    assert_eq!(cropped.voxels(), array![[[2]]]);
    assert_eq!(cropped.grid().voxel_to_world([0.0, 0.0, 0.0]), [0.0, 0.0, 5.0]);
}

#[test]
fn a_box_far_outside_holds_only_the_fill_value() {
    for start in [[-9, 0, 0], [0, 9, 0], [-9, 9, 9]] {
        let away = crop_or_pad(numbered([3, 3, 3]), &BoundingBox { start, shape: [2, 2, 2] }, -1);
        assert!(away.voxels().iter().all(|&value| value == -1));
    }
}

#[test]
fn the_box_of_a_mask_touches_its_outermost_voxels() {
    let mut mask = Volume::new(Array3::from_elem([6, 7, 8], false), Grid::with_spacing([6, 7, 8], [1.0; 3]));
    assert_eq!(BoundingBox::of_mask(&mask), None);
    mask.voxels_mut()[[2, 0, 7]] = true;
    assert_eq!(BoundingBox::of_mask(&mask), Some(BoundingBox { start: [2, 0, 7], shape: [1, 1, 1] }));
    mask.voxels_mut()[[4, 3, 5]] = true;
    assert_eq!(BoundingBox::of_mask(&mask), Some(BoundingBox { start: [2, 0, 5], shape: [3, 4, 3] }));
}

#[test]
fn a_union_holds_both_boxes_and_a_border_ends_with_the_grid() {
    let (one, other) = (
        BoundingBox { start: [2, -1, 5], shape: [3, 4, 9] },
        BoundingBox { start: [0, 2, 6], shape: [1, 5, 1] },
    );
    let both = BoundingBox { start: [0, -1, 5], shape: [5, 8, 9] };
    assert_eq!((one.union(other), other.union(one)), (both, both));
    let inside = BoundingBox { start: [0, 1, 5], shape: [2, 2, 3] };
    assert_eq!(inside.dilated(1, [2, 9, 8]), BoundingBox { start: [0, 0, 4], shape: [2, 4, 4] });
}

#[test]
fn the_smaller_half_of_the_padding_comes_first() {
    let grown = BoundingBox { start: [2, 0, 5], shape: [3, 4, 9] }.padded_to([6, 6, 6]);
    assert_eq!(grown, BoundingBox { start: [1, -1, 5], shape: [6, 6, 9] });
}

proptest! {
    #[test]
    fn padding_is_undone_by_cropping(
        shape in prop::array::uniform3(1_usize..6),
        wanted in prop::array::uniform3(0_usize..12),
    ) {
        let volume = numbered(shape);
        let bounds = BoundingBox::whole(shape).padded_to(wanted);
        let padded = crop_or_pad(&volume, &bounds, -1);
        prop_assert!((0..3).all(|axis| padded.grid().shape()[axis] == shape[axis].max(wanted[axis])));
        prop_assert_eq!(crop_or_pad(&padded, &bounds.inverse_crop(shape), -7), volume);
    }

    #[test]
    fn voxels_keep_their_places_and_what_was_cut_comes_back_as_fill(
        shape in prop::array::uniform3(1_usize..6),
        start in prop::array::uniform3(-7_isize..7),
        box_shape in prop::array::uniform3(0_usize..9),
    ) {
        let volume = numbered(shape);
        let bounds = BoundingBox { start, shape: box_shape };
        let cut = crop_or_pad(&volume, &bounds, -1);
        for ((x, y, z), &value) in cut.voxels().indexed_iter() {
            let original: [isize; 3] =
                [x as isize + start[0], y as isize + start[1], z as isize + start[2]];
            let is_inside = (0..3).all(|axis| (0..shape[axis] as isize).contains(&original[axis]));
            prop_assert_eq!(value != -1, is_inside);
            if is_inside {
                prop_assert_eq!(value, volume.voxels()[original.map(|index| index as usize)]);
                prop_assert_eq!(
                    cut.grid().voxel_to_world([x as f64, y as f64, z as f64]),
                    volume.grid().voxel_to_world(original.map(|index| index as f64))
                );
            }
        }
        let back = crop_or_pad(&cut, &bounds.inverse_crop(shape), -1);
        prop_assert_eq!(back.grid(), volume.grid());
        prop_assert!(back.voxels().iter().zip(volume.voxels()).all(|(a, b)| a == b || *a == -1));
    }
}

#[test]
fn bounds_of_the_whole_copy_nothing_and_others_crop() {
    let voxels = Array3::from_shape_fn([2, 3, 4], |(x, y, z)| 12 * x + 4 * y + z);
    let volume = Volume::new(voxels, Grid::with_spacing([2, 3, 4], [1.0, 2.0, 3.0]));
    let bounds = BoundingBox { start: [1, -1, 0], shape: [1, 5, 4] };
    assert_eq!(crop_or_pad(volume.clone(), &bounds, 0), crop_or_pad(&volume, &bounds, 0));
    let place = volume.voxels().as_ptr();
    assert_eq!(crop_or_pad(volume, &BoundingBox::whole([2, 3, 4]), 0).voxels().as_ptr(), place);
}
