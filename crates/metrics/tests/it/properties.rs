//! Properties that hold for all masks.

use bipvl_imaging::{Grid, LabelMap};
use bipvl_metrics::{CaseScores, ClassScores, Convention, MaskPresence, MetricConfig, score_case};
use ndarray::Array3;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::classes;

const SHAPE: [usize; 3] = [6, 5, 7];
const SPACING: [f64; 3] = [0.8, 1.1, 2.5];

/// The order of the terms of a sum differs, or their distance from the first voxel.
const ROUNDING: f64 = 1e-9;

/// Label maps with background and the classes 1, 2 and 3.
fn label_map() -> impl Strategy<Value = LabelMap> {
    vec(0..4_u16, SHAPE.iter().product::<usize>()).prop_map(|labels| {
        let voxels = Array3::from_shape_vec(SHAPE, labels).expect("a label per voxel");
        LabelMap::new(voxels, Grid::with_spacing(SHAPE, SPACING))
    })
}

fn convention() -> impl Strategy<Value = Convention> {
    proptest::sample::select(&Convention::ALL[..])
}

fn score_all(convention: Convention, prediction: &LabelMap, reference: &LabelMap) -> CaseScores {
    let config = MetricConfig { convention, tolerance_mm: 1.0, ..MetricConfig::default() };
    score_case("case_01", prediction, reference, &classes(&["a", "b", "c"]), &config).expect("one grid")
}

/// The label map in the corner of a larger grid, moved by `shift` voxels.
fn moved(label_map: &LabelMap, shift: [usize; 3]) -> LabelMap {
    let shape = SHAPE.map(|length| length + 4);
    let mut voxels = Array3::zeros(shape);
    for ((x, y, z), &label) in label_map.voxels().indexed_iter() {
        voxels[[x + shift[0], y + shift[1], z + shift[2]]] = label;
    }
    LabelMap::new(voxels, Grid::with_spacing(shape, SPACING))
}

/// The label map with its axes in reverse order.
fn transposed(label_map: &LabelMap) -> LabelMap {
    let [x, y, z] = SHAPE;
    let [sx, sy, sz] = SPACING;
    let voxels = label_map.voxels().clone().reversed_axes();
    LabelMap::new(voxels, Grid::with_spacing([z, y, x], [sz, sy, sx]))
}

fn close(a: &CaseScores, b: &CaseScores) -> bool {
    let values = |scores: &ClassScores| [scores.dice, scores.hd95_mm, scores.nsd, scores.assd_mm];
    let same = |pair: (Option<f64>, Option<f64>)| match pair {
        (Some(a), Some(b)) => (a - b).abs() <= ROUNDING,
        (a, b) => a == b,
    };
    a.classes.values().zip(b.classes.values()).all(|(a, b)| values(a).into_iter().zip(values(b)).all(same))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scores_are_symmetric_in_prediction_and_reference(a in label_map(), b in label_map(), convention in convention()) {
        let (there, back) = (score_all(convention, &a, &b), score_all(convention, &b, &a));
        for (name, scores) in &there.classes {
            if scores.presence == MaskPresence::Both {
                prop_assert!((scores.assd_mm.unwrap() - back.classes[name].assd_mm.unwrap()).abs() <= ROUNDING);
                prop_assert_eq!(scores.dice, back.classes[name].dice);
                prop_assert_eq!(scores.hd95_mm, back.classes[name].hd95_mm);
                prop_assert!((scores.nsd.unwrap() - back.classes[name].nsd.unwrap()).abs() <= ROUNDING);
            }
        }
    }

    #[test]
    fn a_label_map_scores_perfectly_against_itself(a in label_map(), convention in convention()) {
        for scores in score_all(convention, &a, &a).classes.values().filter(|scores| scores.presence == MaskPresence::Both) {
            let perfect = ClassScores {
                dice: Some(1.0),
                hd95_mm: Some(0.0),
                nsd: Some(1.0),
                assd_mm: Some(0.0),
                presence: MaskPresence::Both,
            };
            prop_assert_eq!(*scores, perfect);
        }
    }

    #[test]
    fn scores_are_invariant_to_translation(
        a in label_map(),
        b in label_map(),
        shift in [0..5_usize, 0..5_usize, 0..5_usize],
        convention in convention(),
    ) {
        let still = score_all(convention, &a, &b);
        let moved = score_all(convention, &moved(&a, shift), &moved(&b, shift));
        prop_assert!(close(&still, &moved), "{:?} {:?}", still, moved);
    }

    #[test]
    fn scores_are_invariant_to_axis_and_storage_order(
        a in label_map(),
        b in label_map(),
        convention in convention(),
    ) {
        let (straight, turned) = (score_all(convention, &a, &b), score_all(convention, &transposed(&a), &transposed(&b)));
        prop_assert!(close(&straight, &turned), "{:?} {:?}", straight, turned);
    }

    #[test]
    fn scores_of_a_class_are_independent_of_other_classes(a in label_map(), b in label_map(), convention in convention()) {
        let config = MetricConfig { convention, tolerance_mm: 1.0, ..MetricConfig::default() };
        let alone = score_case("case_01", &a, &b, &classes(&["a"]), &config).unwrap();
        prop_assert_eq!(alone.classes["a"], score_all(convention, &a, &b).classes["a"]);
    }

    #[test]
    fn scores_are_independent_of_the_number_of_threads(a in label_map(), b in label_map(), convention in convention()) {
        let with_threads = |count| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| score_all(convention, &a, &b))
        };
        prop_assert_eq!(with_threads(1), with_threads(2));
    }

    #[test]
    fn fractions_are_between_0_and_1_and_distances_at_most_the_diagonal(
        a in label_map(),
        b in label_map(),
        convention in convention(),
    ) {
        let case = score_all(convention, &a, &b);
        let diagonal_mm = case.diagonal_mm.unwrap();
        for scores in case.classes.values() {
            prop_assert!([scores.dice, scores.nsd].into_iter().flatten().all(|share| (0.0..=1.0).contains(&share)));
            let distances = [scores.hd95_mm, scores.assd_mm];
            prop_assert!(distances.into_iter().flatten().all(|distance| (0.0..=diagonal_mm).contains(&distance)));
        }
    }
}
