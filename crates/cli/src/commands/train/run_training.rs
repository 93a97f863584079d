//! Trains a run with a progress bar and a log.

use std::ops::ControlFlow;

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Dataset, Split},
    run::{RunDir, TrainOptions},
    train::{StopReason, train},
};

use super::event_log;
use crate::{commands::run_log::RunLog, interrupt, progress};

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

    let mut log = RunLog::open(run.dir(), run.trained_steps()?, run.config.train.max_steps)?;
    let mut log_result = Ok(());
    let outcome = train(&setup, run.start(), &mut |event| {
        if log_result.is_ok() {
            log_result = event_log::write(&mut log, &event);
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
