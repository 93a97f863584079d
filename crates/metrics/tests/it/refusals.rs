//! What is refused, and in which words.

use bipvl_metrics::{ClassLabels, Convention, Settings, score_case};

use crate::{classes, mask};

fn refusal(prediction_spacing: [f64; 3], classes: &[ClassLabels], settings: &Settings) -> String {
    let prediction = mask([4, 5, 6], prediction_spacing, |_| true);
    let reference = mask([4, 5, 6], [1.0; 3], |_| true);
    score_case("amos_0004", &prediction, &reference, classes, settings).expect_err("refused").to_string()
}

#[test]
fn label_maps_on_other_grids_are_refused_with_both_grids() {
    let message = refusal([1.0, 1.0, 2.0], &classes(&["liver"]), &Settings::default());
    assert_eq!(
        message,
        "amos_0004: expected the prediction on the grid of its reference, shape [4, 5, 6] with affine \
         [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], found shape [4, 5, 6] with affine \
         [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]"
    );
}

#[test]
fn label_maps_of_other_shapes_are_refused() {
    let (prediction, reference) = (mask([4, 5, 6], [1.0; 3], |_| true), mask([4, 6, 5], [1.0; 3], |_| true));
    let refused =
        score_case("amos_0004", &prediction, &reference, &classes(&["liver"]), &Settings::default());
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("[4, 5, 6]") && message.contains("[4, 6, 5]"), "{message}");
}

#[test]
fn a_spacing_of_0_is_refused() {
    let flat = mask([4, 5, 6], [1.0, 1.0, 0.0], |_| true);
    let refused = score_case("amos_0004", &flat, &flat, &classes(&["liver"]), &Settings::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "amos_0004: expected a positive, finite spacing in mm, found [1.0, 1.0, 0.0]"
    );
}

#[test]
fn background_is_no_class() {
    let background = [ClassLabels { name: "background".to_owned(), labels: vec![0] }];
    assert_eq!(
        refusal([1.0; 3], &background, &Settings::default()),
        "class \"background\": expected a label above 0, which is background, found 0"
    );
}

#[test]
fn a_class_without_labels_is_refused() {
    let empty = [ClassLabels { name: "tumor".to_owned(), labels: Vec::new() }];
    let message = refusal([1.0; 3], &empty, &Settings::default());
    assert_eq!(message, "class \"tumor\": expected at least one label, found none");
}

#[test]
fn classes_that_share_a_name_or_a_label_are_refused() {
    let mut shared = classes(&["liver", "spleen"]);
    shared[1].labels = vec![1];
    let mut turned = classes(&["tumor", "core"]);
    (turned[0].labels, turned[1].labels) = (vec![1, 2], vec![2, 1]);
    for classes in [shared, turned, classes(&["liver", "liver"])] {
        let message = refusal([1.0; 3], &classes, &Settings::default());
        assert!(message.starts_with("expected classes with names and labels of their own"), "{message}");
    }
}

#[test]
fn a_tolerance_that_is_no_length_is_refused() {
    for tolerance_mm in [-1.0, f64::NAN, f64::INFINITY] {
        let settings = Settings { tolerance_mm, ..Settings::default() };
        let message = refusal([1.0; 3], &classes(&["liver"]), &settings);
        assert_eq!(message, format!("expected a finite tolerance of 0 mm or more, found {tolerance_mm}"));
    }
}

#[test]
fn an_unknown_convention_is_refused_with_the_known_ones() {
    assert_eq!(
        "nnunet".parse::<Convention>().unwrap_err().to_string(),
        "expected monai, deepmind, metrics-reloaded or medpy, found \"nnunet\""
    );
}
