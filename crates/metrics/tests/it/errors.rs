//! Inputs that cannot be scored, and the errors they give.

use bipvl_imaging::LabelClass;
use bipvl_metrics::{Convention, Error, MetricConfig, score_case};

use crate::{classes, mask};

fn error(prediction_spacing: [f64; 3], classes: &[LabelClass], config: &MetricConfig) -> Error {
    let prediction = mask([4, 5, 6], prediction_spacing, |_| true);
    let reference = mask([4, 5, 6], [1.0; 3], |_| true);
    score_case("amos_0004", &prediction, &reference, classes, config).expect_err("not scorable")
}

#[test]
fn a_grid_mismatch_shows_the_difference() {
    let error = error([1.0, 1.0, 2.0], &classes(&["liver"]), &MetricConfig::default());
    let message = error.to_string();
    assert!(
        message.starts_with("case amos_0004: the prediction is not on the grid of its reference: spacing "),
        "{message}"
    );
    let Error::GridMismatch { mismatch, .. } = error else { panic!("{message}") };
    assert_eq!((mismatch.found.spacing(), mismatch.expected.spacing()), ([1.0, 1.0, 2.0], [1.0; 3]));
}

#[test]
fn label_maps_of_different_shapes_are_a_grid_mismatch() {
    let (prediction, reference) = (mask([4, 5, 6], [1.0; 3], |_| true), mask([4, 6, 5], [1.0; 3], |_| true));
    let result =
        score_case("amos_0004", &prediction, &reference, &classes(&["liver"]), &MetricConfig::default());
    assert!(matches!(result, Err(Error::GridMismatch { .. })), "{result:?}");
}

#[test]
fn a_spacing_of_0_is_an_error() {
    let flat = mask([4, 5, 6], [1.0, 1.0, 0.0], |_| true);
    let result = score_case("amos_0004", &flat, &flat, &classes(&["liver"]), &MetricConfig::default());
    let message = result.unwrap_err().to_string();
    assert_eq!(message, "case amos_0004: spacing [1.0, 1.0, 0.0] mm is not positive and finite");
}

#[test]
fn background_is_not_a_class() {
    let background = [LabelClass::new("background", vec![0])];
    let message = error([1.0; 3], &background, &MetricConfig::default()).to_string();
    assert_eq!(message, "class \"background\" has label 0, which is background");
}

#[test]
fn a_class_without_labels_is_an_error() {
    let empty = [LabelClass::new("tumor", Vec::new())];
    assert_eq!(
        error([1.0; 3], &empty, &MetricConfig::default()),
        Error::NoLabel { name: "tumor".to_owned() }
    );
}

#[test]
fn the_ignore_label_is_not_a_class() {
    let config = MetricConfig { ignore_label: Some(2), ..MetricConfig::default() };
    let name = "spleen".to_owned();
    assert_eq!(
        error([1.0; 3], &classes(&["liver", "spleen"]), &config),
        Error::IgnoredClass { name, label: 2 }
    );
}

#[test]
fn classes_with_the_same_name_or_labels_are_an_error() {
    let [a, b] = ["tumor", "core"].map(str::to_owned);
    let class = |name: &String, labels: &[u16]| LabelClass::new(name.clone(), labels.to_vec());
    assert_eq!(
        error([1.0; 3], &[class(&a, &[1, 2]), class(&b, &[2, 1])], &MetricConfig::default()),
        Error::DuplicateLabels { first: a.clone(), second: b, labels: vec![2, 1] }
    );
    assert_eq!(
        error([1.0; 3], &[class(&a, &[1]), class(&a, &[2])], &MetricConfig::default()),
        Error::DuplicateName { name: a }
    );
}

#[test]
fn a_tolerance_is_finite_and_not_negative() {
    for tolerance_mm in [-1.0, f64::NAN, f64::INFINITY] {
        let config = MetricConfig { tolerance_mm, ..MetricConfig::default() };
        let message = error([1.0; 3], &classes(&["liver"]), &config).to_string();
        assert_eq!(message, format!("NSD tolerance {tolerance_mm} mm is negative or not finite"));
    }
}

#[test]
fn an_unknown_convention_lists_the_known_ones() {
    assert_eq!(
        "nnunet".parse::<Convention>().unwrap_err().to_string(),
        "unknown convention \"nnunet\"; known are monai, deepmind, metrics-reloaded and medpy"
    );
}
