//! The form that scores take in JSON.

use bipvl_metrics::{Convention, Scores, Settings, State, score_case};
use serde_json::{Value, json};

use crate::{classes, mask};

/// A liver that is found exactly and a spleen that is missed.
fn scores() -> Scores {
    let settings = Settings::default();
    let prediction = mask([3, 4, 12], [1.0; 3], |voxel| voxel != [0, 0, 0]);
    let mut reference = prediction.clone();
    reference.voxels_mut()[[0, 0, 0]] = 2;
    let case = score_case("case_01", &prediction, &reference, &classes(&["liver", "spleen"]), &settings);
    Scores::new(&settings, vec![case.expect("one grid")])
}

fn expected() -> Value {
    json!({
        "convention": "monai",
        "tolerance_mm": 2.0,
        "cases": [{
            "case": "case_01",
            "classes": {
                "liver": { "dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0, "assd_mm": 0.0, "state": "ok" },
                "spleen": { "dice": 0.0, "hd95_mm": null, "nsd": 0.0, "assd_mm": null, "state": "pred_empty" },
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
fn scores_take_the_documented_form() {
    assert_eq!(serde_json::to_value(scores()).unwrap(), expected());
}

#[test]
fn scores_are_read_back_as_they_were_written() {
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
fn conventions_have_one_name_everywhere() {
    for (convention, name) in
        Convention::ALL.into_iter().zip(["monai", "deepmind", "metrics-reloaded", "medpy"])
    {
        assert_eq!(convention.to_string(), name);
        assert_eq!(name.parse::<Convention>().unwrap(), convention);
        assert_eq!(serde_json::to_value(convention).unwrap(), name);
    }
}

#[test]
fn states_are_written_in_snake_case() {
    let states = [State::Ok, State::BothEmpty, State::PredEmpty, State::RefEmpty];
    assert_eq!(serde_json::to_value(states).unwrap(), json!(["ok", "both_empty", "pred_empty", "ref_empty"]));
}

#[test]
fn settings_may_be_given_in_part() {
    let settings: Settings = serde_json::from_value(json!({ "convention": "deepmind" })).unwrap();
    assert_eq!(settings, Settings { convention: Convention::DeepMind, tolerance_mm: 2.0 });
}
