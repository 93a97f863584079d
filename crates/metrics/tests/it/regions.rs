//! Regions: classes of several labels, which may overlap.

use bipvl_imaging::{Grid, LabelClass, LabelMap};
use bipvl_metrics::{Convention, MetricConfig, Overlap, overlaps, score_case};
use ndarray::Array3;
use proptest::{collection::vec, prelude::*};

use crate::{assert_close, score};

/// A few f64 operations.
const ROUNDING: f64 = 1e-12;
const WHOLE: &[u16] = &[1, 2, 3];
const CORE: &[u16] = &[2, 3];
const ENHANCING: &[u16] = &[3];

/// A row of voxels, each 2 mm long.
fn row(labels: &[u16]) -> LabelMap {
    let voxels = Array3::from_shape_vec([labels.len(), 1, 1], labels.to_vec()).expect("a label per voxel");
    LabelMap::new(voxels, Grid::with_spacing([labels.len(), 1, 1], [2.0, 1.0, 1.0]))
}

fn regions() -> Vec<LabelClass> {
    [("whole", WHOLE), ("core", CORE), ("enhancing", ENHANCING)]
        .map(|(name, labels)| LabelClass::new(name, labels.to_vec()))
        .to_vec()
}

#[test]
fn nested_regions_score_as_computed_by_hand() {
    let reference = row(&[0, 1, 1, 2, 3, 3, 2, 1, 0, 0]);
    let prediction = row(&[0, 0, 1, 3, 3, 2, 1, 1, 1, 0]);
    let counts = overlaps(&prediction, &reference, &[WHOLE, CORE, ENHANCING]);
    // Whole: voxels 1–7 against 2–8; core: 3–6 against 3–5; enhancing: 4–5 against 3–4.
    let expected = [(7, 7, 6), (3, 4, 3), (2, 2, 1)];
    let expected =
        expected.map(|(prediction, reference, intersection)| Overlap { prediction, reference, intersection });
    assert_eq!(counts, expected);

    let scores =
        score_case("case_01", &prediction, &reference, &regions(), &MetricConfig::default()).unwrap();
    assert!(scores.classes.keys().eq(["whole", "core", "enhancing"]));
    for (name, dice) in [("whole", 6.0 / 7.0), ("core", 6.0 / 7.0), ("enhancing", 0.5)] {
        assert_close(scores.classes[name].dice, dice, ROUNDING);
    }
    // In a row every voxel of a mask is at its edge; the farthest is off by one voxel of 2 mm, and of so few the
    // 95th percentile lies between it and the next: rank 0.95 (n − 1) of 0, …, 0, 2.
    for (name, hd95_mm) in [("whole", 2.0 * 0.7), ("core", 2.0 * 0.85), ("enhancing", 2.0 * 0.95)] {
        assert_close(scores.classes[name].hd95_mm, hd95_mm, ROUNDING);
    }
}

#[test]
fn a_region_has_no_surface_between_its_labels() {
    // The boundary between the labels of the two halves of the cube is not part of its surface.
    let shape = [6, 6, 6];
    let halves = Array3::from_shape_fn(shape, |(x, y, z)| match [x, y, z] {
        [1..=4, 1..=4, 1..=4] => {
            if x < 3 {
                7
            } else {
                5
            }
        }
        _ => 0,
    });
    let (reference, one) = (halves.mapv(|label| u16::from(label > 0)), halves);
    let grid = || Grid::with_spacing(shape, [1.0, 1.5, 2.0]);
    let shrunken = |labels: &Array3<u16>| {
        LabelMap::new(
            Array3::from_shape_fn(shape, |(x, y, z)| if z < 4 { labels[[x, y, z]] } else { 0 }),
            grid(),
        )
    };
    for convention in Convention::ALL {
        let config = MetricConfig { convention, ..MetricConfig::default() };
        let class = [LabelClass::new("cube", vec![5, 7])];
        let union =
            score_case("case_01", &shrunken(&one), &LabelMap::new(one.clone(), grid()), &class, &config);
        let expected = score(convention, &shrunken(&reference), &LabelMap::new(reference.clone(), grid()));
        assert_eq!(union.unwrap().classes["cube"], expected, "{convention}");
    }
}

/// Label maps with the labels 0 to 4.
fn label_map() -> impl Strategy<Value = LabelMap> {
    vec(0..5_u16, 4 * 3 * 5).prop_map(|labels| {
        let voxels = Array3::from_shape_vec([4, 3, 5], labels).expect("a label per voxel");
        LabelMap::new(voxels, Grid::with_spacing([4, 3, 5], [0.8, 1.1, 2.5]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_region_scores_like_its_binary_mask(
        prediction in label_map(),
        reference in label_map(),
        convention in proptest::sample::select(&Convention::ALL[..]),
    ) {
        let config = MetricConfig { convention, ..MetricConfig::default() };
        let scores = score_case("case_01", &prediction, &reference, &regions(), &config).unwrap();
        for region in regions() {
            let alone = |map: &LabelMap| map.map(|label| u16::from(region.labels.contains(label)));
            let expected = score(convention, &alone(&prediction), &alone(&reference));
            prop_assert_eq!(scores.classes[&region.name], expected);
        }
    }
}
