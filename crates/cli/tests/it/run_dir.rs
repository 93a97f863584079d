//! Run directories: the recorded split, checks before anything is written, resuming without a checkpoint, the lock.

use std::fs::File;

use bipvl_imaging::phantom;
use serde_json::json;

use crate::scene::{CONFIG, SHAPE, SPACING, Scene, assert_same_weights, new_phantom};

/// Bytes of the NIfTI-1 header of an uncompressed file; voxels follow as float32.
const HEADER_BYTES: usize = 352;

/// Makes the first voxel of an image NaN.
fn damage(scene: &Scene, name: &str) {
    scene.spoil(name, |bytes| {
        bytes[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
}

/// Puts two cases aside for the test.
fn with_test_cases() -> Scene {
    let scene = Scene::new();
    let split = "[data.split]\ntest = [\"case_4\", \"case_5\"]\n";
    scene.write_text("config.toml", &format!("{CONFIG}\n{split}"));
    scene
}

#[test]
fn a_case_added_later_does_not_change_the_split() {
    let scene = Scene::trained();
    let split = scene.text("run/split.json");
    let added = phantom::draw(9, SHAPE, SPACING);
    scene.write("data/imagesTr/case_9.nii", &added.image);
    scene.write_labels("data/labelsTr/case_9.nii", &added.labels);
    let mut dataset = scene.json("data/dataset.json");
    let case = json!({ "image": "imagesTr/case_9.nii", "label": "labelsTr/case_9.nii" });
    dataset["training"].as_array_mut().unwrap().push(case);
    scene.write_json("data/dataset.json", &dataset);

    let warning = "1 cases were added to the data set after the run was created and are not used: case_9";
    let resumed = scene.resume("run").succeeds();
    assert!(resumed.stderr.contains(warning), "{}", resumed.stderr);
    assert_eq!(scene.text("run/split.json"), split);
    let cases = scene.json("run/scores.json")["cases"].as_array().unwrap().len();
    assert_eq!(cases, 2, "those of fold 0 of 5 of six cases");
    let probe = ["probe", "--model", "run", "--data", "data", "--perturbations", "empty", "--max-cases", "1"];
    let probed = scene.bipvl(&probe).succeeds();
    assert!(probed.stderr.contains(warning), "{}", probed.stderr);
}

#[test]
fn a_case_missing_from_the_data_set_is_refused_by_name() {
    let scene = Scene::trained();
    let mut dataset = scene.json("data/dataset.json");
    dataset["training"].as_array_mut().unwrap().remove(0);
    scene.write_json("data/dataset.json", &dataset);
    scene.resume("run").fails_saying(&["run/split.json: 1 of the split are missing in the data set: case_0"]);
}

#[test]
fn a_run_without_a_checkpoint_resumes_from_step_0() {
    let scene = Scene::new();
    scene.train("whole", &[]).succeeds();
    let image = scene.bytes("data/imagesTr/case_1.nii");
    damage(&scene, "data/imagesTr/case_1.nii");
    scene.train("run", &[]).fails_saying(&["data/imagesTr/case_1.nii: "]);
    assert!(scene.path("run/config.toml").exists() && !scene.path("run/last.safetensors").exists());
    scene.write_bytes("data/imagesTr/case_1.nii", &image);
    scene.resume("run").succeeds();
    assert_same_weights(&scene, "run", "whole");
}

#[test]
fn an_unusable_test_case_is_found_before_anything_is_written() {
    let scene = with_test_cases();
    damage(&scene, "data/imagesTr/case_5.nii");
    scene
        .train("run", &["--val-fold", "0/2"])
        .fails_saying(&["1 unusable test cases: case_5 (data/imagesTr/case_5.nii: "]);
    assert!(!scene.path("run").exists());
}

#[test]
fn a_test_case_that_fails_does_not_stop_the_scores_of_the_others() {
    let scene = with_test_cases();
    scene.train("run", &["--steps", "1", "--val-fold", "0/2"]).succeeds();
    damage(&scene, "data/imagesTr/case_5.nii");
    let resumed = scene.resume("run");
    assert!(resumed.stderr.contains("1 of 2 cases could not be segmented"), "{}", resumed.stderr);
    resumed.fails_saying(&["case case_5: data/imagesTr/case_5.nii: "]);
    let scores = scene.json("run/scores.json");
    let cases = scores["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(|case| case["case"].as_str().unwrap()).collect::<Vec<_>>(), ["case_4"]);
}

#[test]
fn a_run_in_use_is_refused() {
    let scene = Scene::trained();
    let log = scene.bytes("run/log.jsonl");
    let lock = File::open(scene.path("run/lock")).unwrap();
    lock.lock().unwrap();
    scene.resume("run").fails_saying(&["run is in use by another process"]);
    assert_eq!(scene.bytes("run/log.jsonl"), log);
    drop(lock);
    scene.resume("run").succeeds();
}

#[test]
fn predicting_without_best_weights_is_an_error() {
    let scene = Scene::trained();
    std::fs::remove_file(scene.path("run/best.safetensors")).unwrap();
    scene.write("scan.nii", &new_phantom().image);
    scene.predict("scan.nii").fails_saying(&[
        "run/best.safetensors does not exist: the training has not finished its first validation",
    ]);
}

#[test]
fn a_class_without_training_voxels_is_warned_of() {
    let scene = Scene::new();
    let split = scene.train("first", &["--steps", "1"]).succeeds();
    assert!(!split.stderr.contains("has no voxel"), "{}", split.stderr);
    let ids = scene.json("first/split.json");
    let (_, rod) = phantom::CLASSES.into_iter().find(|(name, _)| *name == "rod").unwrap();
    for id in ids["train"].as_array().unwrap() {
        let path = format!("data/labelsTr/{}.nii", id.as_str().unwrap());
        let labels = bipvl_imaging::read_labels(&scene.path(&path)).unwrap();
        scene.write_labels(&path, &labels.map(|label| if *label == rod { 0 } else { *label }));
    }
    let trained = scene.train("run", &["--steps", "1"]).succeeds();
    let warning = "class \"rod\" has no voxel in the training cases of fold 0/5";
    assert!(trained.stderr.contains(warning), "{}", trained.stderr);
}

/// D33a.
#[test]
fn a_training_without_a_voxel_of_any_class_is_refused() {
    let scene = Scene::new();
    for name in scene.names("data/labelsTr") {
        let path = format!("data/labelsTr/{name}");
        let labels = bipvl_imaging::read_labels(&scene.path(&path)).unwrap();
        scene.write_labels(&path, &labels.map(|_| 0));
    }
    scene.train("run", &[]).fails_saying(&["no class has a voxel in the training cases of fold 0/5"]);
}

/// D19: the labels of a case cover its voxels in another order.
#[test]
fn a_training_scores_cases_whose_labels_have_another_axis_order() {
    let scene = Scene::new();
    scene.train("plain", &["--steps", "1"]).succeeds();
    for name in scene.names("data/labelsTr") {
        let path = format!("data/labelsTr/{name}");
        let labels = bipvl_imaging::read_labels(&scene.path(&path)).unwrap();
        scene.write_labels(&path, &bipvl_imaging::reorient(&labels, "PSL".parse().unwrap()));
    }
    scene.train("run", &["--steps", "1"]).succeeds();
    let [turned, plain] = ["run", "plain"].map(|run| scene.json(&format!("{run}/scores.json")));
    for (case, plain) in turned["cases"].as_array().unwrap().iter().zip(plain["cases"].as_array().unwrap()) {
        for (name, _) in phantom::CLASSES {
            assert_eq!(case["classes"][name]["dice"], plain["classes"][name]["dice"]);
        }
    }
    let probe = ["probe", "--model", "run", "--data", "data", "--perturbations", "empty"];
    scene.bipvl(&probe).succeeds();
    let describe = ["describe", "--data", "data", "--source", "statistics", "--out", "measured.toml"];
    scene.bipvl(&describe).succeeds();
}

#[test]
fn a_bad_split_names_the_configuration_that_was_given() {
    let scene = Scene::new();
    scene.write_text("split.toml", &format!("{CONFIG}\n[data.split]\ntest = [\"nobody\"]\n"));
    let train = ["train", "--data", "data", "--descriptions", "descriptions.toml", "--out", "run"];
    let train = [&train[..], &["--config", "split.toml"]].concat();
    scene.bipvl(&train).fails_saying(&["split.toml", "\"nobody\""]);
    assert!(!scene.path("run").exists());
}
