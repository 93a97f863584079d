//! Parts that one can count.

use bipvl_imaging::{Connectivity, Grid, LabelMap, Volume, connected_components, keep_largest_component};
use ndarray::Array3;
use proptest::prelude::*;

fn mask(shape: [usize; 3], voxels: &[[usize; 3]]) -> Volume<bool> {
    let mut mask = Array3::from_elem(shape, false);
    for &voxel in voxels {
        mask[voxel] = true;
    }
    Volume::new(mask, Grid::with_spacing(shape, [1.0; 3]))
}

#[test]
fn a_shared_corner_joins_only_for_26_neighbors() {
    let diagonal = mask([3, 3, 3], &[[0, 0, 0], [1, 1, 1], [2, 2, 1]]);
    assert_eq!(connected_components(&diagonal, Connectivity::Face).voxel_counts, [1, 1, 1]);
    assert_eq!(connected_components(&diagonal, Connectivity::Full).voxel_counts, [3]);
}

#[test]
fn components_are_numbered_in_the_order_of_their_first_voxels() {
    let two = mask([4, 1, 3], &[[0, 0, 2], [3, 0, 0], [3, 0, 1]]);
    let found = connected_components(&two, Connectivity::Face);
    assert_eq!(found.voxel_counts, [1, 2]);
    assert_eq!(
        [[0, 0, 0], [0, 0, 2], [3, 0, 0], [3, 0, 1]].map(|voxel| found.ids.voxels()[voxel]),
        [0, 1, 2, 2]
    );
}

/// A row of labels.
fn row(labels: &[u16]) -> LabelMap {
    let shape = [1, labels.len(), 1];
    let voxels = Array3::from_shape_vec(shape, labels.to_vec()).unwrap();
    Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]))
}

#[test]
fn the_largest_part_of_each_label_stays_and_of_equal_ones_the_first() {
    for (before, after) in [
        (&[0, 1, 0, 1, 1, 2, 1, 2, 2][..], &[0, 0, 0, 1, 1, 0, 0, 2, 2][..]),
        (&[3, 0, 3, 7, 7], &[3, 0, 0, 7, 7]),
        (&[5, 0, 5, 5, 0, 5, 5], &[0, 0, 5, 5, 0, 0, 0]),
        (&[0, 0, 0], &[0, 0, 0]),
    ] {
        let mut labels = row(before);
        keep_largest_component(&mut labels, Connectivity::Full);
        assert_eq!(labels, row(after));
    }
}

#[test]
fn which_neighbors_touch_decides_what_is_one_part() {
    let diagonal =
        mask([4, 4, 1], &[[0, 0, 0], [1, 1, 0], [3, 2, 0], [3, 3, 0]]).map(|inside| u16::from(*inside));
    let [mut six, mut all] = [diagonal.clone(), diagonal];
    keep_largest_component(&mut six, Connectivity::Face);
    keep_largest_component(&mut all, Connectivity::Full);
    assert_eq!(six, mask([4, 4, 1], &[[3, 2, 0], [3, 3, 0]]).map(|inside| u16::from(*inside)));
    assert_eq!(all, mask([4, 4, 1], &[[0, 0, 0], [1, 1, 0]]).map(|inside| u16::from(*inside)));
}

#[test]
fn an_empty_mask_has_no_part() {
    assert_eq!(connected_components(&mask([3, 2, 1], &[]), Connectivity::Face).voxel_counts, [0; 0]);
}

proptest! {
    #[test]
    fn touching_voxels_share_a_number_and_counts_add_up(voxels in prop::collection::vec(any::<bool>(), 4 * 5 * 6)) {
        let shape = [4, 5, 6];
        let mask = Volume::new(
            Array3::from_shape_vec(shape, voxels).unwrap(),
            Grid::with_spacing(shape, [1.0; 3]),
        );
        let [six, all] = [Connectivity::Face, Connectivity::Full].map(|connectivity| connected_components(&mask, connectivity));
        prop_assert!(six.voxel_counts.len() >= all.voxel_counts.len());
        for found in [&six, &all] {
            for (index, &voxel_count) in found.voxel_counts.iter().enumerate() {
                let number = index as u32 + 1;
                prop_assert_eq!(found.ids.voxels().iter().filter(|&&n| n == number).count(), voxel_count);
            }
        }
        let mut labels = mask.map(|inside| u16::from(*inside));
        keep_largest_component(&mut labels, Connectivity::Full);
        let kept = labels.map(|label| *label != 0);
        let largest = all.voxel_counts.iter().copied().max();
        prop_assert_eq!(connected_components(&kept, Connectivity::Full).voxel_counts.first().copied(), largest);
        prop_assert_eq!(kept.voxels().iter().filter(|inside| **inside).count(), largest.unwrap_or(0));
        for ((x, y, z), &number) in six.ids.voxels().indexed_iter() {
            prop_assert_eq!(number != 0, mask.voxels()[[x, y, z]]);
            for neighbor in [[x + 1, y, z], [x, y + 1, z], [x, y, z + 1]] {
                if let Some(&other) = six.ids.voxels().get(neighbor) {
                    prop_assert!(other == 0 || number == 0 || other == number);
                }
            }
        }
    }
}
