//! A training that was interrupted ends with the bytes of one that was not.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use bipvl_imaging::phantom;
use serde_json::Value;

use crate::scene::{CONFIG, STEPS, Scene, assert_same_weights, training};

/// No training of these tests takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_mins(2);

const POLL: Duration = Duration::from_millis(1);

/// The steps in the log of a run.
fn logged_steps(scene: &Scene, run: &str) -> Vec<u64> {
    let log = scene.text(&format!("{run}/log.jsonl"));
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == "step").map(|event| event["step"].as_u64().unwrap()).collect()
}

#[test]
fn a_killed_training_resumes_to_the_same_bytes() {
    let scene = Scene::new();
    // Long enough that the kill comes in the middle, also on a fast computer.
    let more = ["--steps", "6"];
    scene.train("whole", &more).succeeds();

    let mut command = scene.command();
    command.args(training("killed")).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let began = Instant::now();
    while !scene.path("killed/last.safetensors").exists() {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "no checkpoint appears");
        thread::park_timeout(POLL);
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the training ended before it was killed");
    assert!(!scene.path("killed/scores.json").exists());

    // A line that was being written is cut off at worst.
    scene.spoil("killed/log.jsonl", |log| log.extend(b"{\"event\":\"step\",\"st"));
    scene.resume("killed").succeeds();
    assert_same_weights(&scene, "killed", "whole");
    let steps: Vec<u64> = (1..=6).collect();
    assert_eq!(logged_steps(&scene, "killed"), steps);
    assert_eq!(logged_steps(&scene, "whole"), steps);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let scene = Scene::new();
    scene.train("one", &["--threads", "1", "--steps", "2"]).succeeds();
    scene.train("two", &["--threads", "2", "--steps", "2"]).succeeds();
    assert_same_weights(&scene, "one", "two");
    assert_eq!(scene.bytes("one/scores.json"), scene.bytes("two/scores.json"));
}

#[test]
fn a_training_out_of_time_stops_with_a_checkpoint_and_resumes_to_the_same_bytes() {
    let scene = Scene::new();
    scene.train("whole", &[]).succeeds();
    let stopped = scene.train("stopped", &["--max-minutes", "1e-9"]).succeeds();
    assert!(
        stopped.stderr.contains("time is up at step 1 of 4; continue with --resume"),
        "{}",
        stopped.stderr
    );
    assert_eq!(logged_steps(&scene, "stopped"), [1]);
    // Even a run that stopped before its first validation predicts and has scores.
    for name in ["best.safetensors", "last.safetensors", "scores.json", "report.html"] {
        assert!(scene.path("stopped").join(name).exists(), "{name}");
    }

    scene.resume("stopped").succeeds();
    assert_eq!(logged_steps(&scene, "stopped"), (1..=STEPS as u64).collect::<Vec<_>>());
    assert_same_weights(&scene, "stopped", "whole");
    assert_eq!(scene.bytes("stopped/scores.json"), scene.bytes("whole/scores.json"));
}

#[test]
fn resuming_a_finished_training_changes_nothing() {
    let scene = Scene::trained();
    let log = scene.bytes("run/log.jsonl");
    let copy = scene.path("copy");
    fs::create_dir(&copy).unwrap();
    for name in crate::scene::CHECKPOINTS {
        fs::copy(scene.path("run").join(name), copy.join(name)).unwrap();
    }
    scene.resume("run").succeeds();
    assert_same_weights(&scene, "run", "copy");
    assert_eq!(scene.bytes("run/log.jsonl"), log);
}

#[test]
fn another_seed_gives_other_weights() {
    let scene = Scene::new();
    scene.train("one", &["--seed", "1", "--steps", "1"]).succeeds();
    scene.train("two", &["--seed", "2", "--steps", "1"]).succeeds();
    assert!(scene.bytes("one/best.safetensors") != scene.bytes("two/best.safetensors"));
}

#[test]
fn configured_class_names_are_kept_and_those_of_the_data_set_must_not_change() {
    let scene = Scene::new();
    let labels: Vec<u16> = phantom::CLASSES.iter().map(|(_, label)| *label).collect();
    let names = phantom::CLASSES.map(|(name, _)| if name == "rod" { "bar" } else { name });
    scene.describe(&names);
    let classes = names.iter().zip(labels).map(|(name, label)| format!("{name:?} = {label}\n"));
    let config = format!("{CONFIG}\n[data.label_schema.classes]\n{}", classes.collect::<String>());
    scene.write_text("config.toml", &config);
    scene.train("run", &["--max-minutes", "1e-9"]).succeeds();
    scene.resume("run").succeeds();
    scene.replace("data/dataset.json", "\"rod\"", "\"stick\"");
    scene.resume("run").fails_saying(&[
        "data/dataset.json: classes are",
        "\"stick\"",
        "but the run was created with",
        "\"rod\"",
    ]);
}
