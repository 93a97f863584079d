//! Parts that one can count.

use bipvl_volume::{Grid, Neighbors, Volume, components, keep_largest};
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
    assert_eq!(components(&diagonal, Neighbors::Six).voxel_counts, [1, 1, 1]);
    assert_eq!(components(&diagonal, Neighbors::TwentySix).voxel_counts, [3]);
}

#[test]
fn components_are_numbered_in_the_order_of_their_first_voxels() {
    let two = mask([4, 1, 3], &[[0, 0, 2], [3, 0, 0], [3, 0, 1]]);
    let found = components(&two, Neighbors::Six);
    assert_eq!(found.voxel_counts, [1, 2]);
    assert_eq!(
        [[0, 0, 0], [0, 0, 2], [3, 0, 0], [3, 0, 1]].map(|voxel| found.numbers.voxels()[voxel]),
        [0, 1, 2, 2]
    );
}

#[test]
fn only_the_largest_part_stays() {
    let two = mask([4, 1, 3], &[[0, 0, 2], [3, 0, 0], [3, 0, 1]]);
    assert_eq!(keep_largest(&two, Neighbors::Six), mask([4, 1, 3], &[[3, 0, 0], [3, 0, 1]]));
}

#[test]
fn of_equal_parts_the_first_stays() {
    let equal = mask([3, 1, 1], &[[0, 0, 0], [2, 0, 0]]);
    assert_eq!(keep_largest(&equal, Neighbors::TwentySix), mask([3, 1, 1], &[[0, 0, 0]]));
}

#[test]
fn an_empty_mask_stays_empty() {
    let empty = mask([3, 2, 1], &[]);
    assert_eq!(components(&empty, Neighbors::Six).voxel_counts, [0; 0]);
    assert_eq!(keep_largest(&empty, Neighbors::Six), empty);
}

proptest! {
    #[test]
    fn touching_voxels_share_a_number_and_counts_add_up(voxels in prop::collection::vec(any::<bool>(), 4 * 5 * 6)) {
        let shape = [4, 5, 6];
        let mask = Volume::new(
            Array3::from_shape_vec(shape, voxels).unwrap(),
            Grid::with_spacing(shape, [1.0; 3]),
        );
        let [six, all] = [Neighbors::Six, Neighbors::TwentySix].map(|neighbors| components(&mask, neighbors));
        prop_assert!(six.voxel_counts.len() >= all.voxel_counts.len());
        for found in [&six, &all] {
            for (index, &voxel_count) in found.voxel_counts.iter().enumerate() {
                let number = index as u32 + 1;
                prop_assert_eq!(found.numbers.voxels().iter().filter(|&&n| n == number).count(), voxel_count);
            }
        }
        for ((x, y, z), &number) in six.numbers.voxels().indexed_iter() {
            prop_assert_eq!(number != 0, mask.voxels()[[x, y, z]]);
            for neighbor in [[x + 1, y, z], [x, y + 1, z], [x, y, z + 1]] {
                if let Some(&other) = six.numbers.voxels().get(neighbor) {
                    prop_assert!(other == 0 || number == 0 || other == number);
                }
            }
        }
    }
}
