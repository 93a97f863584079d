//! A training that a callback interrupts ends with a checkpoint, and resumes to the bytes of one that was not.

use std::{fs, ops::ControlFlow, path::Path};

use bipvl::{
    config::Config,
    data::Dataset,
    run::{RunDir, RunSpec, TrainOptions},
    train::{Start, StopReason, event::TrainEvent, train},
};
use burn::tensor::Device;
use tempfile::TempDir;

use crate::{drawn, untrained::descriptions};

const CONFIG: &str = concat!(
    include_str!("../../examples/support/tiny_model.toml"),
    r#"
[data]
fold = "0/2"

[preprocess]
patch_size = [32, 32, 32]

[train]
max_steps = 3
batch_size = 1
warmup_steps = 0
val_every_n_steps = 2
checkpoint_every_n_steps = 3
"#
);

fn create(dir: &Path, dataset: &Dataset) -> RunDir {
    let config = Config::from_toml(CONFIG, Path::new("config.toml"), dataset).unwrap();
    let spec = RunSpec::new(config, descriptions(), dataset).unwrap();
    RunDir::create(dir, &spec, dataset).unwrap()
}

/// Trains until `stops` breaks; the names of the events but progress.
fn run_training(
    run: &RunDir,
    dataset: &Dataset,
    stops: fn(&TrainEvent) -> bool,
) -> (StopReason, Vec<&'static str>) {
    let split = run.split(dataset).unwrap();
    let options = TrainOptions::new(Device::flex());
    let setup = run.train_setup(dataset, &split, options, &|_| ControlFlow::Continue(())).unwrap();
    let mut events = Vec::new();
    let outcome = train(&setup, run.start(), &mut |event| {
        events.extend(match event {
            TrainEvent::Step { .. } => Some("step"),
            TrainEvent::Validation { .. } => Some("validation"),
            TrainEvent::Checkpoint { .. } => Some("checkpoint"),
            TrainEvent::Interrupted { .. } => Some("interrupted"),
            _ => None,
        });
        if stops(&event) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    (outcome.reason, events)
}

fn checkpoints(run: &RunDir) -> [Vec<u8>; 2] {
    [run.last_checkpoint(), run.model.best_checkpoint()].map(|path| fs::read(path).unwrap())
}

/// Whether the training stops at an event.
type Stops = fn(&TrainEvent) -> bool;

#[test]
fn an_interrupted_training_resumes_to_the_same_bytes() {
    let (_data, dataset) = drawn::dataset(4);
    let folder = TempDir::new().unwrap();
    let whole = create(&folder.path().join("whole"), &dataset);
    let (reason, events) = run_training(&whole, &dataset, |_| false);
    assert_eq!(reason, StopReason::MaxSteps);
    assert_eq!(events, ["step", "step", "validation", "step", "validation", "checkpoint"]);

    let cases: [(&str, Stops, &[&str], &[&str]); 3] = [
        (
            "before a step without validation",
            |event| matches!(event, TrainEvent::Step { step: 1, .. }),
            &["step", "checkpoint", "interrupted"],
            &["step", "validation", "step", "validation", "checkpoint"],
        ),
        (
            "before a validation",
            |event| matches!(event, TrainEvent::Step { step: 2, .. }),
            &["step", "step", "checkpoint", "interrupted"],
            &["validation", "step", "validation", "checkpoint"],
        ),
        (
            "in the last validation",
            |event| matches!(event, TrainEvent::ValidationProgress { step: 3, .. }),
            &["step", "step", "validation", "step", "checkpoint", "interrupted"],
            &["validation", "checkpoint"],
        ),
    ];
    for (name, stops, before, after) in cases {
        let run = create(&folder.path().join(name), &dataset);
        assert_eq!(run_training(&run, &dataset, stops), (StopReason::Interrupted, before.to_vec()), "{name}");
        assert_eq!(run.start(), Start::Resume);
        assert_eq!(run_training(&run, &dataset, |_| false), (StopReason::MaxSteps, after.to_vec()), "{name}");
        assert!(checkpoints(&run) == checkpoints(&whole), "{name}: checkpoints differ");
    }
}

#[test]
fn interrupted_preprocessing_is_cancelled() {
    let (_data, dataset) = drawn::dataset(2);
    let folder = TempDir::new().unwrap();
    let run = create(&folder.path().join("run"), &dataset);
    let split = run.split(&dataset).unwrap();
    let options = TrainOptions::new(Device::flex());
    let error = run.train_setup(&dataset, &split, options, &|_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, bipvl::train::Error::Data(bipvl::data::Error::Cancelled)), "found {error:?}");
}

#[test]
fn a_cancelled_prediction_is_an_error() {
    let (_data, dataset) = drawn::dataset(1);
    let predictor = crate::untrained::Untrained::new(bipvl::nn::bifusion::FusionDirection::None).predictor();
    let mut calls = 0;
    let result = predictor.predict_files(&dataset.cases[0].images, &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(result, Err(bipvl::infer::Error::Cancelled)));
    assert_eq!(calls, 1);
}
