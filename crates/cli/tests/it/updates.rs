//! What an update is made of, and when a training ends: accumulation, patience, deep supervision, recomputing.

use serde_json::Value;

use crate::scene::{CONFIG, Scene, assert_same_weights};

/// float32 means of one and of two samples.
const TOLERANCE: f64 = 1e-5;

/// A run with other lines under `[train]`.
fn train(scene: &Scene, run: &str, lines: &str) {
    let config = CONFIG.replace("max_steps = 4\nbatch_size = 1\n", lines);
    assert_ne!(config, CONFIG);
    scene.write_text("config.toml", &config);
    scene.train(run, &[]).succeeds();
}

fn events(scene: &Scene, run: &str, kind: &str) -> Vec<Value> {
    let log = scene.text(&format!("{run}/log.jsonl"));
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

#[test]
fn two_batches_per_update_are_as_good_as_one_of_twice_the_samples() {
    let scene = Scene::new();
    train(&scene, "wide", "max_steps = 2\nbatch_size = 2\n");
    train(&scene, "long", "max_steps = 2\nbatch_size = 1\ngradient_accumulation_steps = 2\n");
    // The noise of the alignment loss is drawn sample by sample and differs; what it touches is left out.
    let losses = |run: &str| {
        let first = &events(&scene, run, "step")[0];
        assert_eq!(first["epoch"], 0);
        ["segmentation", "class_embedding"].map(|loss| first["loss"][loss].as_f64().unwrap())
    };
    for (wide, long) in losses("wide").into_iter().zip(losses("long")) {
        assert!((wide - long).abs() < TOLERANCE, "{wide} {long}");
    }
    assert_eq!(events(&scene, "long", "step").len(), 2);
}

#[test]
fn a_training_without_improvement_stops_early_and_resumes_to_nothing() {
    let scene = Scene::new();
    // So small a rate changes no label: the first validation, after step 1, stays the best.
    let lines = "max_steps = 9\nbatch_size = 1\nlearning_rate = 1e-30\npatience = 2\n";
    let config = CONFIG
        .replace("max_steps = 4\nbatch_size = 1\n", lines)
        .replace("val_every_n_steps = 4", "val_every_n_steps = 1");
    scene.write_text("config.toml", &config);
    let stopped = scene.train("run", &[]).succeeds();
    assert!(
        stopped.stderr.contains("early stopping at step 3 of 9: no improvement in 2 validations"),
        "{}",
        stopped.stderr
    );
    assert_eq!(events(&scene, "run", "step").len(), 3);
    assert_eq!(events(&scene, "run", "early_stopping").len(), 1);
    let log = scene.bytes("run/log.jsonl");
    scene.resume("run").succeeds();
    assert_eq!(scene.bytes("run/log.jsonl"), log);
}

#[test]
fn activation_checkpointing_does_not_change_the_weights() {
    let scene = Scene::new();
    for (run, recompute) in [("plain", "off"), ("again", "blocks")] {
        // What is dropped out of the text is the same both times.
        let config = CONFIG.replace("stage_layers", "hidden_dropout_prob = 0.2, stage_layers").replace(
            "batch_size = 1",
            &format!(
                "batch_size = 1\ngradient_accumulation_steps = 2\nactivation_checkpointing = \"{recompute}\""
            ),
        );
        scene.write_text("config.toml", &config);
        scene.train(run, &["--steps", "2"]).succeeds();
    }
    assert_same_weights(&scene, "again", "plain");
}

#[test]
fn deep_supervision_trains_coarser_scales_and_prediction_works_without_them() {
    let scene = Scene::new();
    let config = CONFIG.replace("projection_dim = 8", "projection_dim = 8\ndeep_supervision_levels = 2");
    scene.write_text("config.toml", &config);
    scene.train("run", &["--steps", "2"]).succeeds();
    scene.write("scan.nii", &crate::scene::new_phantom().image);
    scene.predict("scan.nii").succeeds();
    scene.bipvl(&["export", "run", "--out", "monai.safetensors"]).succeeds();

    let config = CONFIG.replace("projection_dim = 8", "projection_dim = 8\ndeep_supervision_levels = 5");
    scene.write_text("config.toml", &config);
    scene
        .train("other", &[])
        .fails_saying(&["config.toml: `model.deep_supervision_levels` is 5, but must be 0 to 4"]);
}
