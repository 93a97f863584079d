//! Overlapping classes through the program: train, predict, evaluate.

use std::collections::BTreeSet;

use bipvl_imaging::{
    LabelMap,
    phantom::{self, NestedPhantom, REGIONS},
    read_labels,
};
use serde_json::Value;

use crate::scene::{CASES, SHAPE, SPACING, Scene};

/// A few f64 operations.
const ROUNDING: f64 = 1e-12;

fn nested(seed: u64) -> NestedPhantom {
    phantom::draw_nested(seed, SHAPE, SPACING)
}

/// Nested phantoms in the layout of nnU-Net, with a `dataset.json` whose labels are `labels`.
fn scene(labels: &str) -> Scene {
    let scene = Scene::with_classes(&REGIONS.map(|(name, _)| name));
    for seed in 0..CASES {
        write_channels(&scene, &format!("data/imagesTr/case_{seed}"), &nested(seed));
        scene.write_labels(&format!("data/labelsTr/case_{seed}.nii"), &nested(seed).labels);
    }
    scene.write_text(
        "data/dataset.json",
        &format!(r#"{{"channel_names": {{"0": "FLAIR", "1": "T1gd"}}, "file_ending": ".nii", {labels}}}"#),
    );
    scene
}

fn write_channels(scene: &Scene, name: &str, phantom: &NestedPhantom) {
    for (channel, volume) in phantom.channels.iter().enumerate() {
        scene.write(&format!("{name}_{channel:04}.nii"), volume);
    }
}

pub(crate) fn with_regions() -> Scene {
    scene(
        r#""labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "seed": 3},
           "regions_class_order": [1, 2, 3]"#,
    )
}

/// Dice of the voxels that have any of `labels`, counted here.
fn dice(prediction: &LabelMap, reference: &LabelMap, labels: &[u16]) -> f64 {
    let (mut size, mut both) = (0, 0);
    for (ours, theirs) in prediction.voxels().iter().zip(reference.voxels()) {
        let (ours, theirs) = (labels.contains(ours), labels.contains(theirs));
        size += usize::from(ours) + usize::from(theirs);
        both += usize::from(ours && theirs);
    }
    2.0 * both as f64 / size as f64
}

#[track_caller]
fn assert_scored(scores: &Value, case: &str, prediction: &LabelMap, reference: &LabelMap) {
    let cases = scores["cases"].as_array().unwrap();
    let classes = &cases.iter().find(|found| found["case"] == case).unwrap()["classes"];
    assert_eq!(classes.as_object().unwrap().len(), REGIONS.len());
    for (name, labels) in REGIONS {
        let found = classes[name]["dice"].as_f64().unwrap();
        assert!((found - dice(prediction, reference, labels)).abs() < ROUNDING, "{case}, {name}: {found}");
    }
}

#[test]
fn a_training_on_regions_predicts_labels_and_scores_every_region() {
    let scene = with_regions();
    let outcome = scene.train("run", &[]).succeeds();
    for (name, _) in REGIONS {
        assert!(outcome.stdout.contains(name), "{}", outcome.stdout);
    }
    let config = scene.text("run/config.toml");
    let places = REGIONS.map(|(name, _)| config.rfind(&format!("\n{name} = [")).unwrap());
    assert!(places.is_sorted(), "{config}");
    let log = scene.text("run/log.jsonl");
    let validation: Value =
        serde_json::from_str(log.lines().find(|line| line.contains("validation")).unwrap()).unwrap();
    assert!(REGIONS.iter().all(|(name, _)| validation["dice"][name].is_number()), "{validation}");
    assert!(scene.text("run/report.html").contains("labels 1, 2, 3"));

    let scores = scene.json("run/scores.json");
    for file in scene.names("run/predictions") {
        let case = file.trim_end_matches(".nii.gz");
        let prediction = read_labels(&scene.path(&format!("run/predictions/{file}"))).unwrap();
        let reference = read_labels(&scene.path(&format!("data/labelsTr/{case}.nii"))).unwrap();
        assert_scored(&scores, case, &prediction, &reference);
    }

    write_channels(&scene, "new/scan", &nested(100));
    scene.predict("new").succeeds();
    let prediction = read_labels(&scene.path("predictions/scan.nii")).unwrap();
    let labels: BTreeSet<u16> = prediction.voxels().iter().copied().collect();
    assert!(labels.is_subset(&(0..=3).collect()), "{labels:?}");

    let core = ["predict", "--model", "run", "--out", "core", "--classes", "core", "new"];
    scene.bipvl(&core).succeeds();
    let core = read_labels(&scene.path("core/scan.nii")).unwrap();
    assert!(core.voxels().iter().all(|label| [0, 2].contains(label)), "the label that the core writes");

    // Another phantom instead of the prediction, so that there is something to count.
    scene.write_labels("predictions/scan.nii", &nested(101).labels);
    scene.write_labels("references/scan.nii.gz", &nested(100).labels);
    for names in ["data/dataset.json", "run/config.toml"] {
        let files = ["--pred", "predictions", "--ref", "references", "--json", "scores.json"];
        scene.bipvl(&[&["evaluate"][..], &files, &["--dataset", names]].concat()).succeeds();
        assert_scored(&scene.json("scores.json"), "scan", &nested(101).labels, &nested(100).labels);
    }
}

#[test]
fn a_probe_measures_regions_as_unions_of_their_labels() {
    let scene = with_regions();
    scene.train("run", &["--steps", "2"]).succeeds();
    let args = ["probe", "--model", "run", "--data", "data", "--perturbations", "empty"];
    let outcome = scene.bipvl(&args).succeeds();
    assert!(REGIONS.iter().all(|(name, _)| outcome.stdout.contains(name)), "{}", outcome.stdout);
    let answers = scene.text("run/probe/results.jsonl");
    let answers = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for answer in answers.filter(|answer| answer["variant"] == "as trained") {
        let case = answer["case"].as_str().unwrap();
        let prediction = read_labels(&scene.path(&format!("run/predictions/{case}.nii.gz"))).unwrap();
        let reference = read_labels(&scene.path(&format!("data/labelsTr/{case}.nii"))).unwrap();
        for (found, (name, labels)) in answer["classes"].as_array().unwrap().iter().zip(REGIONS) {
            let expected = dice(&prediction, &reference, labels);
            assert!((found["dice"].as_f64().unwrap() - expected).abs() < ROUNDING, "{case}, {name}: {found}");
        }
    }
}

#[test]
fn a_configuration_makes_regions_of_a_data_set_with_plain_labels() {
    let scene = scene(r#""labels": {"background": 0, "edema": 1, "other": 2, "enhancing": 3}"#);
    let config = scene.text("config.toml");
    let regions = "[data.label_schema.regions]\nwhole = [1, 2, 3]\ncore = [2, 3]\nseed = [3]\n";
    scene.write_text("config.toml", &format!("{config}\n{regions}"));
    scene.train("run", &["--steps", "2"]).succeeds();
    scene.resume("run").succeeds();
    let scores = scene.json("run/scores.json");
    assert_eq!(scores["mean"].as_object().unwrap().len(), REGIONS.len());
    assert!(REGIONS.iter().all(|(name, _)| scores["mean"][name].is_object()), "{scores}");
    let outcome = scene.bipvl(&["info", "run"]).succeeds();
    assert!(outcome.stdout.contains("3 classes"), "{}", outcome.stdout);

    let ablate =
        ["ablate", "--data", "data", "--descriptions", "descriptions.toml", "--config", "config.toml"];
    let rows = ["--rows", "vision-only", "--seeds", "1", "--steps", "2", "--out", "table"];
    scene.bipvl(&[&ablate[..], &rows].concat()).succeeds();
    let scores = scene.json("table/vision-only/seed-42/scores.json");
    assert!(REGIONS.iter().all(|(name, _)| scores["mean"][name].is_object()), "{scores}");

    let inner_first = "[data.label_schema.regions]\nseed = [3]\ncore = [2, 3]\nwhole = [1, 2, 3]\n";
    scene.write_text("config.toml", &format!("{config}\n{inner_first}"));
    scene.train("other", &[]).fails_saying(&["config.toml: region \"core\" must be listed before \"seed\""]);
}
