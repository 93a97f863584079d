//! Shapes whose scores can be computed by hand.

use bipvl_metrics::{ClassScores, Convention, MaskPresence, MetricConfig};

use crate::{assert_close, mask, score, score_liver};

/// A few f64 operations on numbers below 100.
const ROUNDING: f64 = 1e-12;

#[test]
fn two_voxels_2_mm_apart_are_2_mm_apart() {
    let voxel_at = |x: usize| mask([8, 8, 8], [1.0; 3], |voxel| voxel == [x, 3, 4]);
    for convention in [Convention::Monai, Convention::MetricsReloaded, Convention::Medpy] {
        let expected = ClassScores {
            dice: Some(0.0),
            hd95_mm: Some(2.0),
            nsd: Some(1.0),
            assd_mm: Some(2.0),
            presence: MaskPresence::Both,
        };
        assert_eq!(score(convention, &voxel_at(2), &voxel_at(4)), expected, "{convention}");
    }
}

#[test]
fn the_corners_of_two_voxels_2_mm_apart_are_1_mm_and_2_mm_apart() {
    // Each voxel has eight corners of equal area; four face the other voxel.
    let voxel_at = |x: usize| mask([8, 8, 8], [1.0; 3], |voxel| voxel == [x, 3, 4]);
    for (tolerance_mm, nsd) in [(0.9, 0.0), (1.0, 0.5), (2.0, 1.0)] {
        let config =
            MetricConfig { convention: Convention::DeepMind, tolerance_mm, ..MetricConfig::default() };
        let scores = score_liver(&voxel_at(2), &voxel_at(4), &config).classes["liver"];
        assert_eq!(scores.dice, Some(0.0));
        assert_eq!(scores.hd95_mm, Some(2.0));
        assert_close(scores.assd_mm, 1.5, ROUNDING);
        assert_close(scores.nsd, nsd, ROUNDING);
    }
}

#[test]
fn the_tolerance_is_inclusive() {
    let prediction = mask([8, 8, 8], [1.0, 1.0, 2.5], |voxel| voxel == [2, 3, 4]);
    let reference = mask([8, 8, 8], [1.0, 1.0, 2.5], |voxel| voxel == [2, 3, 5]);
    for (tolerance_mm, nsd) in [(2.499, 0.0), (2.5, 1.0)] {
        let config = MetricConfig { tolerance_mm, ..MetricConfig::default() };
        let scores = score_liver(&prediction, &reference, &config).classes["liver"];
        assert_eq!(scores.nsd, Some(nsd));
    }
}

#[test]
fn the_tolerance_has_slack_for_rounding() {
    // 3 · 0.1 is 0.30000000000000004 in f64.
    let prediction = mask([1, 1, 8], [1.0, 1.0, 0.1], |voxel| voxel[2] == 0);
    let reference = mask([1, 1, 8], [1.0, 1.0, 0.1], |voxel| voxel[2] == 3);
    let config = MetricConfig { tolerance_mm: 0.3, ..MetricConfig::default() };
    assert_eq!(score_liver(&prediction, &reference, &config).classes["liver"].nsd, Some(1.0));
}

#[test]
fn a_square_shifted_by_one_voxel_scores_three_quarters() {
    // Two 4 x 4 squares, 3 of 4 rows shared. All 16 voxels of a flat square are edge voxels: 4 of them are
    // one spacing (3 mm) away from the other square and 12 are in it.
    let square = |from: usize| {
        mask([10, 10, 1], [3.0, 1.0, 5.0], |[x, y, _]| (from..from + 4).contains(&x) && (3..7).contains(&y))
    };
    let scores = score(Convention::Monai, &square(3), &square(2));
    assert_eq!(scores.dice, Some(0.75));
    assert_eq!(scores.nsd, Some(0.75));
    assert_eq!(scores.assd_mm, Some(0.75));
    assert_eq!(scores.hd95_mm, Some(3.0));
}

#[test]
fn a_cube_enclosing_a_smaller_cube_is_one_voxel_away() {
    // A 3³ cube has 26 edge voxels, its 5³ hull 98. From within, each is 1 mm from the hull's faces. From
    // without, 9 · 6 on the faces are 1 mm away, 3 · 12 on the edges √2 mm, 8 corners √3 mm.
    let cube = |margin: usize| {
        mask([9, 9, 9], [1.0; 3], |voxel| voxel.iter().all(|index| (margin..9 - margin).contains(index)))
    };
    let sum = 26.0 + 54.0 + 36.0 * 2.0_f64.sqrt() + 8.0 * 3.0_f64.sqrt();
    let config = MetricConfig { tolerance_mm: 1.0, ..MetricConfig::default() };
    let scores = score_liver(&cube(3), &cube(2), &config).classes["liver"];
    assert_close(scores.dice, 2.0 * 27.0 / (27.0 + 125.0), ROUNDING);
    assert_close(scores.assd_mm, sum / 124.0, ROUNDING);
    assert_close(scores.nsd, (26.0 + 54.0) / 124.0, ROUNDING);
    // Rank 0.95 · 97 = 92.15 of the outer list is among its 8 largest, from rank 90 on.
    assert_close(scores.hd95_mm, 3.0_f64.sqrt(), ROUNDING);
    // Joined, rank 0.95 · 123 = 116.85 lies between the last √2 (115 in front of rank 116) and √3.
    let joined = score(Convention::Medpy, &cube(3), &cube(2));
    assert_close(joined.hd95_mm, 3.0_f64.sqrt(), ROUNDING);
}

#[test]
fn the_border_of_the_grid_is_surface() {
    // Beyond the grid there is background: 3³ − 1 edge voxels, of which one is missed by the prediction.
    let full = mask([3, 3, 3], [1.0; 3], |_| true);
    let without_a_corner = mask([3, 3, 3], [1.0; 3], |voxel| voxel != [0, 0, 0]);
    let scores = score(Convention::Monai, &without_a_corner, &full);
    assert_close(scores.dice, 52.0 / 53.0, ROUNDING);
    // Of 25 and 26 edge voxels only the missing corner is not in both; it is 1 mm away.
    assert_close(scores.assd_mm, 1.0 / 51.0, ROUNDING);
}

#[test]
fn slabs_have_surface_on_both_sides() {
    // Slabs one voxel thick, 4 mm apart, through the whole grid. Far from the rim the corners that face
    // the other slab are 3 mm away and the others 4 mm; half of the area each.
    let slab = |at: usize| mask([12, 12, 12], [1.0; 3], |voxel| voxel[2] == at);
    let scores = score(Convention::DeepMind, &slab(3), &slab(7));
    assert_eq!(scores.hd95_mm, Some(4.0));
    assert_close(scores.assd_mm, 3.5, ROUNDING);
    assert_eq!(scores.nsd, Some(0.0));
}
