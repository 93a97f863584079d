//! The ignore label: voxels without annotation are excluded from all scores, as in nnU-Net's evaluation.

use bipvl_imaging::{Grid, LabelMap};
use bipvl_metrics::{Convention, MaskPresence, MetricConfig, labels_without_class, score_case};
use ndarray::Array3;
use proptest::{collection::vec, prelude::*};

use crate::{assert_close, classes};

const IGNORE: u16 = 9;

fn row(labels: &[u16]) -> LabelMap {
    let voxels = Array3::from_shape_vec([labels.len(), 1, 1], labels.to_vec()).expect("a label per voxel");
    LabelMap::new(voxels, Grid::with_spacing([labels.len(), 1, 1], [1.0; 3]))
}

fn config(convention: Convention) -> MetricConfig {
    MetricConfig { convention, ignore_label: Some(IGNORE), ..MetricConfig::default() }
}

#[test]
fn voxels_without_annotation_are_neither_true_nor_false_positives() {
    let reference = row(&[1, 1, 9, 9, 9, 0, 0]);
    let prediction = row(&[1, 0, 1, 1, 0, 1, 0]);
    let score = |config: &MetricConfig| {
        score_case("sparse", &prediction, &reference, &classes(&["liver"]), config).unwrap().classes["liver"]
    };
    // Annotated are voxels 0, 1, 5 and 6: TP 1, FP 1, FN 1.
    assert_close(score(&config(Convention::Monai)).dice, 0.5, 0.0);
    // Without an ignore label, the two predicted voxels of label 9 are false positives: 2 · 1 / (4 + 2).
    assert_close(score(&MetricConfig::default()).dice, 1.0 / 3.0, 1e-12);
}

#[test]
fn a_prediction_only_where_nothing_is_annotated_is_no_false_alarm() {
    let case = score_case(
        "sparse",
        &row(&[1, 1, 0]),
        &row(&[9, 9, 0]),
        &classes(&["liver"]),
        &config(Convention::Monai),
    );
    assert_eq!(case.unwrap().classes["liver"].presence, MaskPresence::Neither);
}

#[test]
fn the_ignore_label_is_not_reported_as_unknown() {
    let found = labels_without_class(&row(&[0, 1, 7, 7, 9]), &classes(&["liver"]), Some(IGNORE));
    assert!(found.into_iter().eq([(7, 2)]));
}

fn label_map() -> impl Strategy<Value = LabelMap> {
    vec(prop::sample::select(vec![0, 1, 2, IGNORE]), 4 * 3 * 5).prop_map(|labels| {
        let voxels = Array3::from_shape_vec([4, 3, 5], labels).expect("a label per voxel");
        LabelMap::new(voxels, Grid::with_spacing([4, 3, 5], [0.8, 1.1, 2.5]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_prediction_at_ignored_voxels_has_no_effect(
        prediction in label_map(),
        other in label_map(),
        reference in label_map(),
        convention in prop::sample::select(&Convention::ALL[..]),
    ) {
        let mut changed = prediction.clone();
        for ((label, other), reference) in
            changed.voxels_mut().iter_mut().zip(other.voxels()).zip(reference.voxels())
        {
            if *reference == IGNORE {
                *label = *other;
            }
        }
        let score = |prediction: &LabelMap| {
            score_case("sparse", prediction, &reference, &classes(&["a", "b"]), &config(convention)).unwrap()
        };
        prop_assert_eq!(score(&prediction), score(&changed));
    }
}
