//! The form that scores take in JSON.

use bipvl_metrics::{Convention, MaskPresence, MetricConfig, Scores, score_case};
use serde_json::{Value, json};

use crate::{classes, mask};

/// A liver that is found exactly and a spleen that is missed.
fn scores() -> Scores {
    let config = MetricConfig::default();
    let prediction = mask([3, 4, 12], [1.0; 3], |voxel| voxel != [0, 0, 0]);
    let mut reference = prediction.clone();
    reference.voxels_mut()[[0, 0, 0]] = 2;
    let case = score_case("case_01", &prediction, &reference, &classes(&["liver", "spleen"]), &config);
    Scores::new(&config, vec![case.expect("one grid")])
}

fn expected() -> Value {
    json!({
        "convention": "monai",
        "tolerance_mm": 2.0,
        "cases": [{
            "case": "case_01",
            "classes": {
                "liver": { "dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0, "assd_mm": 0.0, "presence": "both" },
                "spleen": { "dice": 0.0, "hd95_mm": null, "nsd": 0.0, "assd_mm": null, "presence": "only_reference" },
            },
        }],
        "mean": {
            "liver": {
                "dice": { "mean": 1.0, "std": 0.0, "cases": 1, "missed": 0 },
                "hd95_mm": { "mean": 0.0, "std": 0.0, "cases": 1, "missed": 0 },
                "nsd": { "mean": 1.0, "std": 0.0, "cases": 1, "missed": 0 },
                "assd_mm": { "mean": 0.0, "std": 0.0, "cases": 1, "missed": 0 },
            },
            "spleen": {
                "dice": { "mean": 0.0, "std": 0.0, "cases": 1, "missed": 1 },
                "hd95_mm": { "mean": null, "std": null, "cases": 0, "missed": 1, "penalized_mean": 13.0 },
                "nsd": { "mean": 0.0, "std": 0.0, "cases": 1, "missed": 1 },
                "assd_mm": { "mean": null, "std": null, "cases": 0, "missed": 1, "penalized_mean": 13.0 },
            },
        },
    })
}

#[test]
fn scores_serialize_to_the_documented_json() {
    assert_eq!(serde_json::to_value(scores()).unwrap(), expected());
}

#[test]
fn scores_round_trip_through_json() {
    let read: Scores = serde_json::from_value(expected()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), expected());
    assert_eq!(read.mean, scores().mean);
}

#[test]
fn classes_keep_their_order() {
    let text = serde_json::to_string(&scores()).unwrap();
    assert!(text.find("liver") < text.find("spleen"));
}

#[test]
fn conventions_have_the_same_name_in_json_and_text() {
    for (convention, name) in
        Convention::ALL.into_iter().zip(["monai", "deepmind", "metrics-reloaded", "medpy"])
    {
        assert_eq!(convention.to_string(), name);
        assert_eq!(name.parse::<Convention>().unwrap(), convention);
        assert_eq!(serde_json::to_value(convention).unwrap(), name);
    }
}

#[test]
fn mask_presence_is_written_in_snake_case() {
    let presences = [
        MaskPresence::Both,
        MaskPresence::Neither,
        MaskPresence::OnlyReference,
        MaskPresence::OnlyPrediction,
    ];
    assert_eq!(
        serde_json::to_value(presences).unwrap(),
        json!(["both", "neither", "only_reference", "only_prediction"])
    );
}

#[test]
fn missing_keys_of_a_metric_config_take_their_defaults() {
    let config: MetricConfig = serde_json::from_value(json!({ "convention": "deepmind" })).unwrap();
    assert_eq!(config, MetricConfig { convention: Convention::DeepMind, ..MetricConfig::default() });
}
