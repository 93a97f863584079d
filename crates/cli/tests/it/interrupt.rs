//! Ctrl-C and SIGTERM, sent to the real program.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bipvl_imaging::phantom;

use crate::scene::{SPACING, Scene, assert_same_weights, training};

/// Exit code of a shell for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// A prediction of one scan takes a minute on a slow machine that has other work.
const PATIENCE: Duration = Duration::from_mins(4);

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Waits for `condition`, and fails after [`PATIENCE`].
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Starts the program and passes its messages to the second value.
fn start(scene: &Scene, arguments: &[&str]) -> (Child, thread::JoinHandle<String>) {
    let mut child =
        scene.command().args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let messages = thread::spawn(move || stderr.lines().map(|line| line.unwrap() + "\n").collect());
    (child, messages)
}

#[test]
fn an_interrupted_prediction_leaves_whole_files_only_and_can_be_continued() {
    let scene = Scene::trained();
    // Several seconds each, in many patches.
    for seed in 0..3 {
        scene.write(&format!("scans/s{seed}.nii"), &phantom::draw(seed, [128, 128, 128], SPACING).image);
    }
    let arguments = ["predict", "--model", "run", "--out", "out", "--no-skip-constant-patches", "scans"];
    let (mut child, messages) = start(&scene, &arguments);
    wait_until("the first label map", || scene.path("out/s0.nii").exists());
    send("-TERM", &child);
    let start_of_end = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED), "{}", messages.join().unwrap());
    assert!(start_of_end.elapsed() < PATIENCE);
    let written = scene.names("out");
    assert!(
        written.len() < 3 && written.iter().all(|name| name.strip_suffix(".nii").is_some()),
        "{written:?}"
    );
    let first = scene.bytes("out/s0.nii");
    scene.bipvl(&[&arguments[..], &["--skip-existing"]].concat()).succeeds();
    assert_eq!(scene.names("out"), ["s0.nii", "s1.nii", "s2.nii"]);
    assert!(scene.bytes("out/s0.nii") == first);
}

#[test]
fn an_interrupted_shard_has_lines_of_whole_studies_only_and_goes_on() {
    let scene = Scene::trained();
    for seed in 0..3 {
        scene.write(&format!("scans/s{seed}.nii"), &phantom::draw(seed, [128, 128, 128], SPACING).image);
    }
    let arguments =
        ["predict", "--model", "run", "--out", "out", "--no-skip-constant-patches", "scans", "--shard=0/1"];
    let (mut child, messages) = start(&scene, &arguments);
    let record = "out/studies-0-of-1.jsonl";
    let lines = || if scene.path(record).exists() { scene.text(record).lines().count() } else { 0 };
    wait_until("the line of the first study", || lines() > 0);
    send("-TERM", &child);
    let code = child.wait().unwrap().code();
    let messages = messages.join().unwrap();
    assert_eq!(code, Some(INTERRUPTED), "{messages}");
    assert!(messages.contains("the same command continues"), "{messages}");
    assert!(lines() < 3 && !scene.text(record).contains("failed"), "{}", scene.text(record));
    // The file of lines, and a label map for each of them.
    assert_eq!(scene.names("out").len(), 1 + lines());
    scene.bipvl(&arguments).succeeds();
    assert_eq!(lines(), 3);
    scene.bipvl(&["merge", "out"]).succeeds();
}

#[test]
fn an_interrupted_training_leaves_a_checkpoint_and_can_be_continued_to_the_same_bytes() {
    let scene = Scene::new();
    // Long enough that the signal comes in the middle, also on a fast computer.
    let more = ["--steps", "6"];
    scene.train("whole", &more).succeeds();
    for (run, signal) in [("int", "-INT"), ("term", "-TERM")] {
        let (mut child, messages) = start(&scene, &[&training(run)[..], &more].concat());
        let checkpoint = format!("{run}/last.safetensors");
        wait_until("the first checkpoint", || scene.path(&checkpoint).exists());
        send(signal, &child);
        let code = child.wait().unwrap().code();
        let messages = messages.join().unwrap();
        assert_eq!(code, Some(INTERRUPTED), "{messages}");
        assert!(messages.contains("continue with --resume"), "{messages}");
        assert_whole_files(&scene, run);
        assert!(!scene.path(run).join("scores.json").exists());

        scene.resume(run).succeeds();
        assert_same_weights(&scene, run, "whole");
        assert_whole_files(&scene, run);
    }
}

/// No temporary file is left in the folder.
#[track_caller]
fn assert_whole_files(scene: &Scene, folder: &str) {
    let names = scene.names(folder);
    assert!(names.iter().all(|name| !name.contains("partial")), "{names:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_whose_log_cannot_be_written_stops_with_a_checkpoint() {
    use std::{fs, os::unix::fs::symlink};

    let scene = Scene::new();
    scene.train("whole", &[]).succeeds();
    scene.train("run", &["--max-minutes", "1e-9"]).succeeds();
    let before = scene.bytes("run/last.safetensors");
    let [log, saved] = ["run/log.jsonl", "log.jsonl"].map(|name| scene.path(name));
    fs::rename(&log, &saved).unwrap();
    // A device that is always full.
    symlink("/dev/full", &log).unwrap();
    scene.resume("run").fails_saying(&["the log cannot be written", "with a checkpoint", "No space left"]);
    assert!(scene.bytes("run/last.safetensors") != before, "the step before the failure is kept");
    assert_whole_files(&scene, "run");

    fs::remove_file(&log).unwrap();
    fs::rename(&saved, &log).unwrap();
    scene.resume("run").succeeds();
    assert_same_weights(&scene, "run", "whole");
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    let scene = Scene::trained();
    scene.write("scans/s.nii", &phantom::draw(0, [320, 320, 256], SPACING).image);
    let arguments = ["predict", "--model", "run", "--out", "out", "--no-skip-constant-patches", "scans"];
    let (mut child, _messages) = start(&scene, &arguments);
    wait_until("the output folder", || scene.path("out").exists());
    send("-INT", &child);
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED));
    assert_eq!(scene.names("out").len(), 0);
}
