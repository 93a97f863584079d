//! Training in several processes, started by `mpirun`.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bipvl::nn::weights::load;

use crate::scene::{CHECKPOINTS, Outcome, Scene, assert_same_weights, resuming, training};

/// Sums of 32-bit floats in another order, over some steps of an optimizer that divides by small numbers.
const ROUNDING: f32 = 2e-4;
/// In which all ranks must have ended after one was lost.
const MINUTE: Duration = Duration::from_mins(1);

fn mpirun(scene: &Scene, ranks: &str, arguments: &[&str]) -> Command {
    let program = scene.command();
    let mut command = Command::new("mpirun");
    command.current_dir(program.get_current_dir().unwrap());
    // Inside of a container, and as root, where tests run.
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    command.args(["-n", ranks, "--oversubscribe"]).arg(program.get_program()).args(arguments);
    command
}

fn train_by(scene: &Scene, ranks: &str, arguments: &[&str]) -> Outcome {
    Outcome::of(mpirun(scene, ranks, arguments).output().unwrap())
}

/// The largest difference of a weight, relative to the largest weight of its tensor.
fn largest_difference(scene: &Scene, one: &str, other: &str) -> f32 {
    let read = |run: &str| load(&scene.path(run).join(CHECKPOINTS[1])).unwrap().0;
    let (one, other) = (read(one), read(other));
    assert!(one.keys().eq(other.keys()));
    let differences = one.iter().filter(|(name, _)| name.starts_with("weights.")).map(|(name, tensor)| {
        let pairs = tensor.values.iter().zip(&*other[name].values);
        let largest = tensor.values.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
        pairs.fold(0.0_f32, |most, (one, other)| most.max((one - other).abs())) / largest
    });
    differences.fold(0.0, f32::max)
}

#[test]
fn ranks_train_as_one_process_that_accumulates_and_repeat_bit_for_bit() {
    let scene = Scene::new();
    train_by(&scene, "2", &training("two")).succeeds();
    train_by(&scene, "2", &training("again")).succeeds();
    assert_same_weights(&scene, "two", "again");
    assert_eq!(
        scene.text("two/log.jsonl").matches("\"event\":\"step\"").count(),
        4,
        "one rank writes the log"
    );

    scene.train("other", &[]).succeeds();
    scene.replace("config.toml", "batch_size = 1", "batch_size = 1\ngradient_accumulation_steps = 2");
    scene.train("one", &[]).succeeds();
    let difference = largest_difference(&scene, "two", "one");
    assert!(difference < ROUNDING, "as one process: {difference}");
    let half = largest_difference(&scene, "two", "other");
    assert!(half > 10.0 * ROUNDING, "half of the samples give other weights: {half}");
}

#[test]
fn ranks_train_prompts_as_one_process_that_accumulates() {
    let scene = Scene::new();
    let config = scene.text("config.toml").replace("[model]\n", "[model]\nhead = \"prompts\"\n");
    scene.write_text("prompts.toml", &config);
    let train = |run| ["train", "--config", "prompts.toml", "--data", "data", "--out", run];
    train_by(&scene, "2", &train("two")).succeeds();
    train_by(&scene, "2", &train("again")).succeeds();
    assert_same_weights(&scene, "two", "again");
    let accumulating = config.replace("batch_size = 1", "batch_size = 1\ngradient_accumulation_steps = 2");
    scene.write_text("prompts.toml", &accumulating);
    scene.bipvl(&train("one")).succeeds();
    let difference = largest_difference(&scene, "two", "one");
    assert!(difference < ROUNDING, "as one process: {difference}");
}

#[test]
fn a_run_is_resumed_with_another_number_of_ranks() {
    let scene = Scene::new();
    train_by(&scene, "2", &[&training("run")[..], &["--steps", "2"]].concat()).succeeds();
    scene.replace("run/config.toml", "max_steps = 2", "max_steps = 4");
    let resumed = scene.resume("run").succeeds();
    assert!(resumed.stderr.contains("with 1 processes instead of 2"), "{}", resumed.stderr);
    scene.replace("run/config.toml", "max_steps = 4", "max_steps = 6");
    let resumed = train_by(&scene, "3", &resuming("run")).succeeds();
    assert!(resumed.stderr.contains("with 3 processes instead of 1"), "{}", resumed.stderr);
}

#[test]
fn errors_of_one_rank_end_all() {
    let scene = Scene::new();
    scene.train("run", &["--steps", "1"]).succeeds();
    let outcome = train_by(&scene, "2", &training("run"));
    assert_ne!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("run already contains a run"), "{}", outcome.stderr);
}

#[test]
fn when_a_rank_is_lost_the_others_end_and_the_last_checkpoint_is_whole() {
    let scene = Scene::new();
    let arguments = [&training("run")[..], &["--steps", "2000"]].concat();
    let mut job = mpirun(&scene, "2", &arguments).stderr(Stdio::null()).spawn().unwrap();
    let last = scene.path("run").join(CHECKPOINTS[1]);
    wait_until(|| last.exists());
    let ranks = ranks_of(&job);
    assert_eq!(ranks.len(), 2);
    Command::new("kill").args(["-9", &ranks[1]]).status().unwrap();
    let lost = Instant::now();
    assert!(!job.wait().unwrap().success());
    wait_until(|| ranks.iter().all(|rank| !fs::exists(format!("/proc/{rank}")).unwrap()));
    assert!(lost.elapsed() < MINUTE);
    let steps = bipvl::train::checkpoint::read_progress(&last).unwrap().step;
    assert!(steps >= 2);
    scene.replace("run/config.toml", "max_steps = 2000", &format!("max_steps = {}", steps + 2));
    train_by(&scene, "2", &resuming("run")).succeeds();
}

/// The processes that `mpirun` has started.
fn ranks_of(job: &Child) -> Vec<String> {
    let children = format!("/proc/{0}/task/{0}/children", job.id());
    fs::read_to_string(children).unwrap().split_whitespace().map(ToOwned::to_owned).collect()
}

fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < MINUTE, "nothing happened for a minute");
        thread::sleep(Duration::from_millis(20));
    }
}
