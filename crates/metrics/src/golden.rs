//! Scores of two shapes against the published implementations: MONAI 1.6.1, DeepMind's surface-distance (December
//! 2024), Metrics Reloaded (June 2025) and medpy 0.5.2.

use bipvl_imaging::{Grid, LabelClass, LabelMap};
use ndarray::Array3;

use crate::surface::{Discretization, Surface, SurfaceDistances, surface_distances, surfaces};
use crate::{ClassScores, Convention, MaskPresence, MetricConfig, Overlap, Spacing, overlaps, score_case};

/// Sums of a thousand f64 terms may differ in their last digits with the order of the terms.
const SUMMATION: f64 = 1e-12;
/// MONAI and Metrics Reloaded hold distances in float32.
const FLOAT32: f64 = 1e-6;
/// The areas are of the order of 1000 mm².
const AREA_MM2: f64 = 1e-9;

const SPACING: [f64; 3] = [0.8, 0.8, 3.0];

fn draw(is_inside: impl Fn([f64; 3]) -> bool) -> LabelMap {
    let shape = [40, 36, 24];
    let voxels =
        Array3::from_shape_fn(shape, |(i, j, k)| u16::from(is_inside([i as f64, j as f64, k as f64])));
    LabelMap::new(voxels, Grid::with_spacing(shape, SPACING))
}

fn is_in_ellipsoid(voxel: [f64; 3], center: [f64; 3], radii: [f64; 3]) -> bool {
    (0..3).map(|axis| ((voxel[axis] - center[axis]) / radii[axis]).powi(2)).sum::<f64>() <= 1.0
}

fn reference() -> LabelMap {
    draw(|voxel| is_in_ellipsoid(voxel, [20.0, 18.0, 12.0], [9.0, 7.0, 5.0]))
}

fn prediction() -> LabelMap {
    draw(|voxel| {
        let is_in_block = voxel.iter().all(|index| (3.0..5.0).contains(index));
        is_in_block || is_in_ellipsoid(voxel, [22.0, 17.0, 12.0], [8.0, 8.0, 4.0])
    })
}

fn distances(discretization: Discretization) -> SurfaceDistances {
    surface_distances(discretization, &prediction(), &reference(), &[1], Spacing::Volume(SPACING)).remove(0)
}

fn surface(discretization: Discretization, label_map: &LabelMap) -> Surface {
    surfaces(discretization, label_map, &[1], Spacing::Volume(SPACING)).remove(0)
}

fn scores(convention: Convention, tolerance_mm: f64) -> ClassScores {
    let classes = [LabelClass::new("ellipsoid", vec![1])];
    let config = MetricConfig { convention, tolerance_mm, ignore_label: None };
    let case = score_case("golden", &prediction(), &reference(), &classes, &config).unwrap();
    case.classes["ellipsoid"]
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "expected {expected}, found {found}");
}

#[test]
fn voxels_are_counted() {
    let overlap = overlaps(&prediction(), &reference(), &[&[1]])[0];
    assert_eq!((overlap.reference, overlap.prediction), (1323, 1045));
    assert_close(overlap.dice().unwrap(), 0.749_155_405_405_405_4, SUMMATION);
    assert_close(overlap.iou().unwrap(), 0.598_919_648_885_887_9, SUMMATION);
    assert_eq!(overlap, Overlap { intersection: 887, ..overlap });
}

#[test]
fn edge_voxels_are_counted() {
    assert_eq!(surface(Discretization::EdgeVoxels, &reference()).indices.len(), 478);
    assert_eq!(surface(Discretization::EdgeVoxels, &prediction()).indices.len(), 422);
}

#[test]
fn surface_areas_match_deepmind() {
    let area = |label_map: &LabelMap| surface(Discretization::Surfels, label_map).weights.iter().sum::<f64>();
    assert_close(area(&reference()), 1_116.954_237_226_920_7, AREA_MM2);
    assert_close(area(&prediction()), 928.052_145_571_032_8, AREA_MM2);
}

#[test]
fn the_largest_distance_is_that_of_the_stray_block() {
    for discretization in [Discretization::EdgeVoxels, Discretization::Surfels] {
        assert_close(
            distances(discretization).max_directed_percentile(100.0),
            21.007_617_665_980_12,
            SUMMATION,
        );
    }
}

#[test]
fn directed_means_match_the_published_implementations() {
    let voxels = distances(Discretization::EdgeVoxels);
    assert_close(voxels.from_prediction.mean(), 1.400_360_998_257_116_6, SUMMATION);
    assert_close(voxels.mean_of_directed_means(), 1.449_036_795_453_909_4, SUMMATION);
    let surfels = distances(Discretization::Surfels);
    assert_close(surfels.from_reference.mean(), 1.019_386_218_222_022_1, SUMMATION);
    assert_close(surfels.from_prediction.mean(), 1.324_702_849_754_067, SUMMATION);
}

#[test]
fn hd95_is_that_of_each_convention() {
    let hd95_mm = |convention| scores(convention, 2.0).hd95_mm.unwrap();
    assert_close(hd95_mm(Convention::Monai), 3.2, FLOAT32);
    assert_close(hd95_mm(Convention::MetricsReloaded), 3.2, FLOAT32);
    assert_close(hd95_mm(Convention::Medpy), 3.104_834_939_252_005, SUMMATION);
    assert_close(hd95_mm(Convention::DeepMind), 3.0, SUMMATION);
}

#[test]
fn assd_is_that_of_each_convention() {
    let assd_mm = |convention| scores(convention, 2.0).assd_mm.unwrap();
    for convention in [Convention::Monai, Convention::MetricsReloaded, Convention::Medpy] {
        assert_close(assd_mm(convention), 1.452_065_511_723_932, SUMMATION);
    }
    let mean_of_directed = f64::midpoint(1.019_386_218_222_022_1, 1.324_702_849_754_067);
    assert_close(assd_mm(Convention::DeepMind), mean_of_directed, SUMMATION);
}

#[test]
fn nsd_is_that_of_each_convention() {
    let by_count =
        [(1.0, 0.471_111_111_111_111_1), (2.0, 0.732_222_222_222_222_2), (3.0, 0.935_555_555_555_555_6)];
    let by_area =
        [(1.0, 0.614_692_843_053_037), (2.0, 0.858_622_699_253_134_3), (3.0, 0.961_301_304_017_525_8)];
    for convention in Convention::ALL {
        let expected = if convention == Convention::DeepMind { by_area } else { by_count };
        for (tolerance_mm, nsd) in expected {
            assert_close(scores(convention, tolerance_mm).nsd.unwrap(), nsd, SUMMATION);
        }
    }
}

#[test]
fn dice_is_the_same_under_every_convention() {
    for convention in Convention::ALL {
        let scores = scores(convention, 2.0);
        assert_eq!(scores.presence, MaskPresence::Both);
        assert_close(scores.dice.unwrap(), 0.749_155_405_405_405_4, SUMMATION);
    }
}
