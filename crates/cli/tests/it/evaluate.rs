//! `bipvl evaluate` on folders of label maps.

use bipvl_imaging::{Grid, phantom};
use ndarray::s;
use serde_json::{Value, json};

use crate::{
    scene::{SHAPE, SPACING, Scene, placed},
    story::assert_keys,
};

#[test]
fn a_perfect_prediction_scores_one_everywhere() {
    let scene = Scene::new();
    for folder in ["predictions", "references"] {
        scene.write_labels(&format!("{folder}/a.nii.gz"), &phantom::draw(1, SHAPE, SPACING).labels);
        scene.write_labels(&format!("{folder}/b.nii.gz"), &phantom::draw(2, SHAPE, SPACING).labels);
    }
    let names = phantom::CLASSES.map(|(name, _)| name);
    let outcome = scene
        .bipvl(&[
            "evaluate",
            "--pred",
            "predictions",
            "--ref",
            "references",
            "--json",
            "scores.json",
            "--dataset",
            "data/dataset.json",
        ])
        .succeeds();
    assert!(outcome.stdout.contains("mean Dice 1.000 over 2 cases"), "{}", outcome.stdout);
    let scores = scene.json("scores.json");
    for case in scores["cases"].as_array().unwrap() {
        for class in names {
            let expected =
                json!({ "dice": 1.0, "hd95_mm": 0.0, "nsd": 1.0, "assd_mm": 0.0, "presence": "both" });
            assert_eq!(case["classes"][class], expected, "{class}");
        }
    }
    for class in names {
        let expected = json!({ "mean": 1.0, "std": 0.0, "ci95": [1.0, 1.0], "cases": 2, "missed": 0 });
        assert_eq!(scores["mean"][class]["dice"], expected);
    }
}

#[test]
fn labels_without_names_are_scored_by_number() {
    let scene = Scene::new();
    for folder in ["predictions", "references"] {
        scene.write_labels(&format!("{folder}/a.nii.gz"), &phantom::draw(1, SHAPE, SPACING).labels);
    }
    scene.evaluate().succeeds();
    assert_keys(&scene.json("scores.json")["mean"], &["1", "2", "3", "4"]);
}

#[test]
fn names_are_read_from_the_file_that_was_given() {
    let scene = Scene::new();
    scene.write_labels("references/a.nii", &phantom::draw(1, SHAPE, SPACING).labels);
    scene.write_json("names.json", &json!({ "labels": { "0": "background", "2": "left one" } }));
    let evaluate = |names: &str| {
        let args =
            ["--pred", "references", "--ref", "references", "--json", "scores.json", "--dataset", names];
        scene.bipvl(&[&["evaluate"][..], &args].concat())
    };
    evaluate("names.json").succeeds();
    assert_keys(&scene.json("scores.json")["mean"], &["left one"]);
    scene.write_text("names.txt", "left one");
    evaluate("names.txt").fails_saying(&["names.txt: invalid JSON: "]);
    evaluate("config.toml").fails_saying(&["config.toml: invalid configuration with data.label_schema"]);
}

#[test]
fn failed_cases_are_listed_the_others_scored_and_the_exit_code_is_1() {
    let scene = Scene::new();
    let labels = phantom::draw(1, SHAPE, SPACING).labels;
    for name in ["predictions/a.nii", "references/a.nii", "predictions/c.nii"] {
        scene.write_labels(name, &labels);
    }
    let outcome = scene.evaluate().succeeds();
    assert!(outcome.stderr.contains("predictions/c.nii: no reference with this name, not scored"));
    scene.write_labels("references/b.nii", &labels);
    scene.write_labels("references/c.nii", &labels);
    scene.write_text("predictions/c.nii", "damaged");
    let outcome = scene.evaluate();
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.stdout.contains("mean Dice 1.000 over 1 case "), "{}", outcome.stdout);
    for message in [
        "case b: no prediction in predictions for the reference references/b.nii",
        "predictions/c.nii",
        "2 of 3 cases could not be scored",
    ] {
        assert!(outcome.stderr.contains(message), "{message} in {}", outcome.stderr);
    }
    assert_eq!(scene.json("scores.json")["cases"].as_array().unwrap().len(), 1);
}

#[test]
fn labels_without_class_are_warned_of_with_file_and_voxels() {
    let scene = Scene::new();
    let mut labels = phantom::draw(1, SHAPE, SPACING).labels;
    scene.write_labels("references/a.nii", &labels);
    labels.voxels_mut()[[0, 0, 0]] = 77;
    scene.write_labels("predictions/a.nii", &labels);
    let args = ["--pred", "predictions", "--ref", "references", "--json", "s.json"];
    let outcome =
        scene.bipvl(&[&["evaluate"][..], &args, &["--dataset", "data/dataset.json"]].concat()).succeeds();
    let warning = "predictions/a.nii: label 77 (1 voxels) belongs to no class, scored as background";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}

#[test]
fn voxels_with_the_ignore_label_are_not_scored() {
    let scene = Scene::new();
    let labels = phantom::draw(1, SHAPE, SPACING).labels;
    scene.write_labels("predictions/a.nii", &labels);
    let mut sparse = labels.clone();
    sparse.voxels_mut().slice_mut(s![.., .., ..SHAPE[2] / 2]).fill(9);
    scene.write_labels("references/a.nii", &sparse);
    let classes: serde_json::Map<String, Value> = phantom::CLASSES
        .iter()
        .map(|(name, label)| ((*name).to_owned(), json!(label)))
        .chain([("background".to_owned(), json!(0)), ("ignore".to_owned(), json!(9))])
        .collect();
    scene.write_json("sparse.json", &json!({ "channel_names": { "0": "CT" }, "labels": classes }));
    let args =
        ["--pred", "predictions", "--ref", "references", "--json", "s.json", "--dataset", "sparse.json"];
    scene.bipvl(&[&["evaluate"][..], &args].concat()).succeeds();
    let scores = scene.json("s.json");
    assert_eq!(scores["ignore_label"], 9);
    assert_keys(&scores["mean"], &phantom::CLASSES.map(|(name, _)| name));
    for (name, _) in phantom::CLASSES {
        assert!(scores["mean"][name]["dice"]["mean"] != 0.0, "{name}: {}", scores["mean"][name]["dice"]);
        assert_eq!(scores["mean"][name]["dice"]["missed"], 0, "{name}");
    }
}

#[test]
fn the_output_is_checked_before_anything_is_scored() {
    let scene = Scene::new();
    scene.write_text("predictions/a.nii", "damaged");
    scene.write_labels("references/a.nii", &phantom::draw(1, SHAPE, SPACING).labels);
    let evaluate = |json: &str| {
        let args = ["evaluate", "--pred", "predictions", "--ref", "references", "--json", json];
        scene.bipvl(&args)
    };
    evaluate("nowhere/scores.json").fails_saying(&["nowhere/scores.json: directory nowhere does not exist"]);
    evaluate("references").fails_saying(&["references: is a directory"]);
    let before = scene.bytes("references/a.nii");
    evaluate("references/a.nii").fails_saying(&["is an input of the evaluation"]);
    assert_eq!(scene.bytes("references/a.nii"), before);
}

#[test]
fn label_maps_on_different_grids_are_not_compared() {
    let scene = Scene::new();
    let labels = phantom::draw(1, SHAPE, SPACING).labels;
    scene.write_labels("references/a.nii", &labels);
    scene.write_labels("predictions/a.nii", &placed(&labels, Grid::with_spacing(SHAPE, [1.0; 3])));
    scene.evaluate().fails_saying(&["predictions/a.nii against references/a.nii"]);
}
