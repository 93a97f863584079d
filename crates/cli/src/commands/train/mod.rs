//! `bipvl train`: from a data set to a run with weights, scores and a report.

mod folds;
mod setup;

pub(crate) use setup::{
    command_line, config_and_descriptions, dataset_overrides, open_device, run_spec, time_budget,
    train_options, workers,
};

use std::{ops::ControlFlow, time::Instant};

use anyhow::{Context, Result, anyhow, bail};
use bipvl::{
    data::{Dataset, Split},
    infer::Folds,
    run::{RunDir, TrainOptions},
    train::{Start, StopReason, checkpoint::read_progress, train},
};

use super::{evaluate_run::evaluate_run, memory, prompts::warn_of_truncation, run_log::RunLog};
use crate::{args::TrainArgs, interrupt, progress};

/// Trains one run or all folds of a cross-validation, and evaluates the best weights on the held-out cases.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    interrupt::install();
    if args.folds.is_some() || (args.resume && Folds::exists_in(&args.out)) {
        return folds::run(args);
    }
    let began = Instant::now();
    // Refuse bad flags before anything is written.
    let device = open_device(args)?;
    let time_budget = time_budget(args.max_minutes)?;
    let dataset = Dataset::read(&args.data, &dataset_overrides(args)?)?;
    let run = if args.resume {
        RunDir::open(&args.out)?
    } else {
        RunDir::create(&args.out, &run_spec(args, &dataset)?, &dataset).map_err(with_hint)?
    };
    let _lock = run.lock()?;
    let split = run.split(&dataset)?;
    warn_of_added_cases(&run, &dataset)?;
    warn_of_truncation(&run.model, &run.path("descriptions.toml"), &run.model.descriptions);
    let [train, val, test] = [&split.train, &split.val, &split.test].map(Vec::len);
    let (name, out) = (&dataset.name, args.out.display());
    tracing::info!("{name}: {train} training, {val} validation and {test} test cases, run in {out}");
    run_training(&run, &dataset, &split, train_options(time_budget, &device))?;
    memory::log_peak(args.memory_budget);
    let minutes = format!("{:.1}", began.elapsed().as_secs_f64() / 60.0);
    let settings = [("command", command_line()), ("minutes", minutes)];
    evaluate_run(&run, split.evaluation_cases(), &device, &settings)
}

/// Adds the flag that helps.
pub(crate) fn with_hint(error: bipvl::train::Error) -> anyhow::Error {
    use bipvl::train::Error;
    match error {
        Error::RunExists { .. } => anyhow!("{error}; continue it with --resume, or use another --out"),
        Error::RunMismatch { .. } | Error::DescriptionsMismatch { .. } => {
            anyhow!("{error}; use another --out")
        }
        error => error.into(),
    }
}

/// Cases that were added after the run was created do not change its split.
pub(crate) fn warn_of_added_cases(run: &RunDir, dataset: &Dataset) -> Result<()> {
    let added = run.cases_outside_split(dataset)?;
    if !added.is_empty() {
        tracing::warn!(
            "{}: {} cases were added to the data set after the run was created and are not used: {}",
            run.dir().display(),
            added.len(),
            added.join(", ")
        );
    }
    Ok(())
}

/// Preprocesses the cases, then trains from the last checkpoint or from the start.
pub(crate) fn run_training(
    run: &RunDir,
    dataset: &Dataset,
    split: &Split,
    options: TrainOptions,
) -> Result<()> {
    let bar = progress::bar("preprocessing", split.train.len() + split.val.len());
    let setup = run.train_setup(dataset, split, options, &|done| {
        bar.set_position(done as u64);
        interrupt::poll()
    })?;
    bar.finish_and_clear();

    let start = run.start();
    let step = match start {
        Start::Fresh => 0,
        Start::Resume => read_progress(&run.last_checkpoint())?.step,
    };
    let mut log = RunLog::open(run.dir(), step, run.config.train.max_steps)?;
    let mut log_result = Ok(());
    let outcome = train(&setup, start, &mut |event| {
        if log_result.is_ok() {
            log_result = log.write(&event);
        }
        if log_result.is_err() { ControlFlow::Break(()) } else { interrupt::poll() }
    })?;
    log_result.context("the log cannot be written, so the training stopped with a checkpoint")?;
    log.finish()?;
    if outcome.reason == StopReason::Interrupted {
        let step = outcome.state.progress.step;
        bail!("interrupted at step {step}; continue with --resume");
    }
    Ok(())
}
