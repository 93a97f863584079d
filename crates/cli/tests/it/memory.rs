//! Training within a memory budget: what is chosen, what the process then needs, and what is refused.

use toml::Table;

use crate::scene::{CONFIG, Scene};

/// In GB; batches of 2 need more, batches of 1 less, with the patches that two threads cut ahead.
const BUDGET: f64 = 0.3;
const THREADS: [&str; 2] = ["--threads", "2"];

/// A scene whose patches are eight times the voxels of [`CONFIG`], two in a batch.
fn wide() -> Scene {
    let scene = Scene::new();
    let config = CONFIG
        .replace("spacing = [4.0, 4.0, 4.0]", "spacing = [2.0, 2.0, 2.0]")
        .replace("patch_size = [32, 32, 32]", "patch_size = [64, 64, 64]")
        .replace("batch_size = 1", "batch_size = 2")
        .replace("max_steps = 4", "max_steps = 2");
    scene.write_text("config.toml", &config);
    scene
}

fn config(scene: &Scene, run: &str) -> Table {
    scene.text(&format!("{run}/config.toml")).parse().unwrap()
}

/// What the run's configuration has of the plan.
fn plan(config: &Table) -> [String; 4] {
    let train = &config["train"];
    [
        &train["batch_size"],
        &train["gradient_accumulation_steps"],
        &train["activation_checkpointing"],
        &config["preprocess"]["patch_size"],
    ]
    .map(|value| value.to_string().replace('"', ""))
}

#[test]
fn a_training_stays_within_its_memory_budget_and_resumes_with_the_reduced_configuration() {
    let scene = wide();
    let budget = BUDGET.to_string();
    let within = [&THREADS[..], &["--memory-budget", &budget, "--max-minutes", "1e-9"]].concat();
    let stopped = scene.train("run", &within).succeeds();
    assert_eq!(plan(&config(&scene, "run")), ["1", "2", "off", "[64, 64, 64]"]);
    let said: Vec<&str> = stopped.stderr.lines().filter(|line| line.contains("--memory-budget")).collect();
    assert!(
        said[0].contains(
            "batch_size 2 → 1, gradient_accumulation_steps 1 → 2; the estimated peak decreases from"
        ),
        "{said:?}"
    );
    // Measured by the operating system; elsewhere nothing is logged.
    if cfg!(target_os = "linux") {
        let [_, needed] = said[..] else { panic!("{said:?}") };
        let words: Vec<&str> = needed.split(' ').collect();
        let place = words.iter().position(|word| *word == "GB").unwrap();
        let needed: f64 = words[place - 1].parse().unwrap();
        assert!(needed > 0.0 && needed < BUDGET, "{said:?}");
    }

    let before = scene.text("run/config.toml");
    scene.resume("run").succeeds();
    assert_eq!(scene.text("run/config.toml"), before);
    assert_eq!(scene.text("run/log.jsonl").matches("\"event\":\"step\"").count(), 2);
}

#[test]
fn a_budget_that_nothing_fits_names_the_smallest_need_and_leaves_no_run() {
    let scene = wide();
    let train = |budget: &str| scene.train("run", &["--memory-budget", budget, "--max-minutes", "1e-9"]);
    train("0.01").fails_saying(&[
        "--memory-budget: a training step needs at least 0.",
        "(patch 32 × 32 × 32, batch size 1, activation checkpointing)",
        "but the memory budget is 0.01 GB",
    ]);
    train("-1").fails_saying(&["--memory-budget: must be above 0, not -1"]);
    assert!(!scene.path("run").exists());
}

#[test]
fn all_folds_train_within_the_budget() {
    let scene = wide();
    let budget = BUDGET.to_string();
    let flags = ["--folds", "2", "--memory-budget", &budget, "--max-minutes", "1e-9"];
    let outcome = scene.train("run", &[&THREADS[..], &flags].concat()).succeeds();
    assert_eq!(outcome.stderr.matches("the estimated peak decreases from").count(), 1, "{}", outcome.stderr);
    let configs = ["run/fold-0", "run/fold-1"].map(|run| config(&scene, run));
    for (fold, config) in configs.iter().enumerate() {
        assert_eq!(config["data"]["fold"].as_str(), Some(&*format!("{fold}/2")));
        assert_eq!(plan(config), ["1", "2", "off", "[64, 64, 64]"]);
    }
}
