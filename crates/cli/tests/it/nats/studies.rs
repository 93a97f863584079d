//! Results: what they are, and that there is one of each.

use std::{fs, process::Command};

use bipvl_dicom::phantom::write_ct_series;
use bipvl_imaging::{phantom, read_labels};

use super::{MODEL, Queued, run};
use crate::scene::{Outcome, SHAPE, SPACING, Scene, new_phantom};

#[test]
fn a_worker_writes_what_predict_writes_and_a_record_of_it() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    for seed in 0..3 {
        scene.write(&format!("scans/s{seed}.nii.gz"), &phantom::draw(seed, SHAPE, SPACING).image);
    }
    scene.write_text("scans/broken.nii.gz", "voxels");
    let outcome = queued.submit(&["scans"]).succeeds();
    assert_eq!(outcome.stdout, "accepted: 4, duplicates: 0\n");
    assert!(outcome.stderr.contains("no worker has asked for studies of `phantoms`"), "{}", outcome.stderr);
    assert_eq!(queued.submit(&["scans"]).succeeds().stdout, "accepted: 0, duplicates: 4\n");
    let outcome = queued.drain(&["--name", "w1"]).succeeds();
    assert!(
        outcome.stderr.contains("left: 3 done, 0 found done, 0 to be tried again, 0 given back, 1 given up")
    );
    scene.bipvl(&["predict", "--model", run(), "--out", "expected", "scans/s0.nii.gz"]).succeeds();
    assert!(scene.bytes("out/s0.nii.gz") == scene.bytes("expected/s0.nii.gz"));
    let names = ["s0", "s1", "s2"].map(|name| [format!("{name}.nii.gz"), format!("{name}.result.json")]);
    assert_eq!(scene.names("out"), names.concat());
    let record = scene.json("out/s1.result.json");
    assert_eq!((&record["worker"], &record["model"]), (&"w1".into(), &MODEL.into()));
    assert_eq!((&record["delivery"], &record["files"][0]), (&1.into(), &"s1.nii.gz".into()));
    let labels = read_labels(&scene.path("out/s1.nii.gz")).unwrap();
    for (index, (name, label)) in phantom::CLASSES.iter().enumerate() {
        let voxels = labels.voxels().iter().filter(|voxel| *voxel == label).count();
        let segment = &record["segments"][index];
        assert_eq!((&segment["name"], &segment["found"]), (&(*name).into(), &(voxels > 0).into()));
        // A voxel of 4 mm has 0.064 ml.
        assert!((segment["volume_ml"].as_f64().unwrap() - 0.064 * voxels as f64).abs() < 1e-9);
    }
    assert!(queued.reason().contains("broken.nii.gz: unknown image format"), "{}", queued.reason());
    let shown = scene.bipvl(&["submit", "--nats", &queued.server.url(), "--status"]).succeeds().stdout;
    for line in ["queue bipvl: 0 studies", "phantoms: 0 waiting, 0 running", "dead letters: 1\n  broken: "] {
        assert!(shown.contains(line), "{shown}");
    }

    // In another queue the studies are new, but their results are there.
    queued.submit(&["--queue", "other", "scans/s0.nii.gz"]).succeeds();
    let outcome = queued.drain(&["--queue", "other"]).succeeds();
    assert!(outcome.stderr.contains("left: 0 done, 1 found done"), "{}", outcome.stderr);
    // The broken scan was mended.
    scene.write("scans/broken.nii.gz", &new_phantom().image);
    let outcome = queued.submit(&["scans/broken.nii.gz"]).succeeds();
    assert_eq!(outcome.stdout, "accepted: 1 (1 from the dead letters), duplicates: 0\n");
    queued.drain(&[]).succeeds();
    assert!(scene.path("out/broken.result.json").exists() && queued.reasons().is_empty());
}

#[test]
fn machines_may_mount_the_folder_of_scans_at_different_places() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    scene.write("here/scans/s.nii", &new_phantom().image);
    let submit = ["submit", "--nats", &queued.server.url(), "--model", MODEL, "--root", "here", "--out"];
    let submit = |more: &[&str]| scene.bipvl(&[&submit[..], more].concat());
    submit(&["out", "here/scans"]).fails_saying(&["out", "not below --root"]);
    submit(&["here/out", "here/scans"]).succeeds();
    fs::rename(scene.path("here"), scene.path("there")).unwrap();
    queued.drain(&["--root", "there"]).succeeds();
    assert_eq!(scene.names("there/out"), ["s.nii", "s.result.json"]);
    assert_eq!(scene.json("there/out/s.result.json")["scan"][0], "scans/s.nii");
}

/// Waits for a child with pipes.
fn output(child: std::process::Child) -> Outcome {
    Outcome::of(child.wait_with_output().unwrap())
}

fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_study_outlives_workers_that_leave_and_workers_that_are_killed() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    // Several seconds in many patches.
    scene.write("s.nii", &phantom::draw(1, [128; 3], SPACING).image);
    queued.submit(&["s.nii"]).succeeds();
    let leaving = queued.start_with_study(1);
    send("-TERM", leaving.id());
    let outcome = output(leaving).succeeds();
    assert!(outcome.stderr.contains("1 given back"), "{}", outcome.stderr);
    let mut killed = queued.start_with_study(2);
    send("-KILL", killed.id());
    killed.wait().unwrap();
    assert!(!scene.path("out/s.nii").exists());
    let outcome = Outcome::of(queued.worker(&["--max-idle", "5"]).output().unwrap()).succeeds();
    assert!(outcome.stderr.contains("left: 1 done"));
    assert_eq!(scene.json("out/s.result.json")["delivery"], 3);
    assert!(queued.reasons().is_empty());
}

#[test]
fn a_prompted_model_is_asked_and_a_series_becomes_objects() {
    let Some(queued) = Queued::new() else { return };
    let scene = Scene::new();
    let text = scene.text("config.toml").replace("[model]\n", "[model]\nhead = \"prompts\"\n");
    scene.write_text("config.toml", &text);
    let train = ["train", "--config", "config.toml", "--data", "data", "--out", "run", "--steps", "1"];
    scene.bipvl(&train).succeeds();
    write_ct_series(&scene.path("study"), &new_phantom().image, "one").unwrap();
    let (url, prompts) = (queued.server.url(), ["--prompt", "Kidney", "--prompt", "the moon"]);
    let submit = ["submit", "--nats", &url, "--model", "words=run", "--out", "out", "--statistics", "study"];
    scene
        .bipvl(&[&submit[..], &prompts, &["--format", "dicom-seg", "--format", "nifti"]].concat())
        .succeeds();
    let worker = ["worker", "--nats", &url, "--model", "words=run", "--max-idle", "0"];
    scene.bipvl(&worker).succeeds();
    let predict = ["predict", "--model", "run", "--out", "expected", "--format", "nifti", "study"];
    scene.bipvl(&[&predict[..], &prompts].concat()).succeeds();
    let names = ["labels.json", "nii.gz", "result.json", "seg.dcm", "statistics.csv", "statistics.json"];
    assert_eq!(scene.names("out"), names.map(|ending| format!("study.{ending}")));
    assert!(scene.bytes("out/study.nii.gz") == scene.bytes("expected/study.nii.gz"));
    let record = scene.json("out/study.result.json");
    let (segments, labels) =
        (record["segments"].as_array().unwrap(), scene.json("expected/study.labels.json"));
    for (segment, finding) in segments.iter().zip(labels["labels"].as_array().unwrap()) {
        assert_eq!((&segment["name"], &segment["value"]), (&finding["prompt"], &finding["value"]));
        assert_eq!((&segment["volume_ml"], &segment["found"]), (&finding["volume_ml"], &finding["found"]));
    }
    assert_eq!(segments.len(), 2);
}
