//! Cross-validation through the program: every case is scored once, by the fold that did not see it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::scene::{CASES, STEPS, Scene, assert_same_weights, new_phantom, training};

fn cross_validate(scene: &Scene, out: &str, more: &[&str]) {
    let args = [&training(out)[..], &["--folds", "2"], more].concat();
    scene.bipvl(&args).succeeds();
}

fn case_ids(scores: &Value) -> BTreeSet<String> {
    let cases = scores["cases"].as_array().unwrap().iter();
    cases.map(|case| case["case"].as_str().unwrap_or_else(|| case.as_str().unwrap()).to_owned()).collect()
}

#[test]
fn every_case_is_scored_once_by_the_fold_that_was_not_trained_on_it() {
    let scene = Scene::new();
    cross_validate(&scene, "all", &["--steps", "1"]);
    scene.train("alone", &["--steps", "1", "--val-fold", "1/2"]).succeeds();
    assert_same_weights(&scene, "all/fold-1", "alone");

    let (whole, folds) = (scene.json("all/scores.json"), scene.json("all/folds.json"));
    assert_eq!(whole["cases"].as_array().unwrap().len(), CASES as usize);
    let validated = |fold: usize| {
        let own = case_ids(&scene.json(&format!("all/fold-{fold}/scores.json")));
        assert_eq!(case_ids(&folds["folds"][fold]), own);
        own
    };
    let (first, second) = (validated(0), validated(1));
    assert!(first.is_disjoint(&second));
    assert_eq!(&first | &second, case_ids(&whole));
    for (fold, ids) in [&first, &second].into_iter().enumerate() {
        let own = scene.json(&format!("all/fold-{fold}/scores.json"));
        for case in own["cases"].as_array().unwrap() {
            assert!(ids.contains(case["case"].as_str().unwrap()));
            assert!(whole["cases"].as_array().unwrap().contains(case), "the same scores in both files");
        }
    }
    let table = scene.text("all/scores.md");
    assert!(
        table.contains("| Fold | Cases | Mean Dice |") && table.contains("\n| 1    |     3 |"),
        "{table}"
    );
    let report = scene.text("all/report.html");
    assert!(report.contains("6 cases in 2 folds") && report.contains("<dt>fold 1</dt>"));
    // Cases are prepared once for all folds.
    assert_eq!(scene.names("all/cache").len(), CASES as usize);
    assert!(!scene.path("all/fold-0/cache").exists());
    scene.bipvl(&["info", "all"]).fails_saying(&["it is a cross-validation with the runs fold-0, fold-1"]);
}

#[test]
fn a_cross_validation_out_of_time_resumes_to_the_same_bytes_and_trains_no_fold_twice() {
    let scene = Scene::new();
    cross_validate(&scene, "whole", &[]);
    let args = [&training("stopped")[..], &["--folds", "2", "--max-minutes", "1e-9"]].concat();
    let stopped = scene.bipvl(&args).succeeds();
    assert!(
        stopped.stderr.contains("stopped/fold-0: time is up; continue with --resume"),
        "{}",
        stopped.stderr
    );
    assert!(scene.path("stopped/fold-0/last.safetensors").exists());
    assert!(scene.path("stopped/fold-1/config.toml").exists(), "all folds are laid out first");
    assert!(!scene.path("stopped/fold-1/last.safetensors").exists(), "the time is that of all folds");
    assert!(!scene.path("stopped/scores.json").exists());

    scene.resume("stopped").succeeds();
    for fold in ["fold-0", "fold-1"] {
        assert_same_weights(&scene, &format!("stopped/{fold}"), &format!("whole/{fold}"));
        let log = scene.text(&format!("stopped/{fold}/log.jsonl"));
        assert_eq!(log.matches("\"event\":\"step\"").count(), STEPS);
    }
    assert_eq!(scene.bytes("stopped/scores.json"), scene.bytes("whole/scores.json"));

    let changed =
        |fold: &str| scene.path(&format!("whole/{fold}/last.safetensors")).metadata().unwrap().modified();
    let before = [changed("fold-0").unwrap(), changed("fold-1").unwrap()];
    scene.resume("whole").succeeds();
    assert_eq!([changed("fold-0").unwrap(), changed("fold-1").unwrap()], before);
}

#[test]
fn folds_decide_together_and_one_model_twice_is_itself() {
    let scene = Scene::new();
    cross_validate(&scene, "all", &["--steps", "2"]);
    scene.write("scan.nii", &new_phantom().image);
    let predict = |out: &str, models: &[&str]| {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        scene.bipvl(&[&["predict", "--out", out, "scan.nii"], &models[..]].concat()).succeeds();
        scene.bytes(&format!("{out}/scan.nii"))
    };
    let (first, second) = ("all/fold-0", "all/fold-1");
    let together = predict("together", &["all"]);
    assert_eq!(predict("named", &[first, second]), together);
    // A sum of two is the same in either order, and half the double is the number itself.
    assert_eq!(predict("turned", &[second, first]), together);
    assert_eq!(predict("twice", &[first, first]), predict("once", &[first]));

    scene.replace("config.toml", "a_min = -100.0", "a_min = -90.0");
    scene.train("other", &["--steps", "1"]).succeeds();
    let args = ["predict", "--model", first, "--model", "other", "--out", "mixed", "scan.nii"];
    scene
        .bipvl(&args)
        .fails_saying(&["other/config.toml: `preprocess` differs from that of all/fold-0/config.toml"]);
}

#[test]
fn folds_that_cannot_be_are_refused_and_leave_nothing() {
    let scene = Scene::new();
    let args = |count: &'static str| [&training("run")[..], &["--folds", count]].concat();
    scene.bipvl(&args("7")).fails_saying(&["--folds: 7 folds need as many labeled cases, but there are 6"]);
    scene.bipvl(&args("1")).refuses_saying(&["1 is not in 2..=65535", "--folds"]);
    scene.bipvl(&[&args("2")[..], &["--val-fold", "0/2"]].concat()).refuses_saying(&["cannot be used with"]);
    assert!(!scene.path("run").exists());
}

#[test]
fn mirroring_is_refused_where_it_would_turn_left_into_right() {
    let scene = Scene::trained();
    scene.write("scan.nii", &new_phantom().image);
    let predict = |axes: &str| {
        scene.bipvl(&[
            "predict",
            "--model",
            "run",
            "--out",
            "mirrored",
            "--tta-mirror-axes",
            axes,
            "scan.nii",
        ])
    };
    let swaps = "swaps \"left twin\" and \"right twin\"";
    predict("x,y").fails_saying(&["--tta-mirror-axes: mirroring along x", swaps]);
    let mirrored = predict("y,z").succeeds();
    assert!(mirrored.stderr.contains("trained without flips along y,z"), "{}", mirrored.stderr);
    assert!(scene.path("mirrored/scan.nii").exists());
    predict("up").refuses_saying(&["unknown axis \"up\""]);

    scene.write_text(
        "mirrored.toml",
        &format!("{}\n[infer]\ntta_mirror_axes = \"x\"\n", crate::scene::CONFIG),
    );
    let args = ["train", "--data", "data", "--descriptions", "descriptions.toml", "--out", "other"];
    let refused = scene.bipvl(&[&args[..], &["--config", "mirrored.toml"]].concat());
    refused.fails_saying(&["mirrored.toml: `infer.tta_mirror_axes` is \"x\"", swaps]);
}
