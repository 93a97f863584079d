//! Trains a run with a progress bar and a log.

use std::{ops::ControlFlow, sync::Arc};

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
    let ranks = Arc::clone(&options.communicator);
    if ranks.size() > 1 {
        let batch = run.config.train.samples_per_step();
        tracing::info!("{} processes, {} samples a step", ranks.size(), ranks.size() * batch);
    }
    // What the first has preprocessed, the others find.
    if !ranks.is_main() {
        ranks.barrier();
    }
    let bar = progress::bar("preprocessing", split.train.len() + split.val.len());
    let setup = run.train_setup(dataset, split, options, &|done| {
        bar.set_position(done as u64);
        interrupt::poll()
    })?;
    bar.finish_and_clear();
    if ranks.is_main() {
        ranks.barrier();
    }

    let (start, steps) = (run.start(), run.trained_steps()?);
    let open_log = || RunLog::open(run.dir(), steps, run.config.train.max_steps);
    let mut log = ranks.is_main().then(open_log).transpose()?;
    let mut log_result = Ok(());
    let outcome = train(&setup, start, &mut |event| {
        if let (Some(log), true) = (&mut log, log_result.is_ok()) {
            log_result = event_log::write(log, &event);
        }
        if log_result.is_err() { ControlFlow::Break(()) } else { interrupt::poll() }
    })?;
    log_result.context("the log cannot be written, so the training stopped with a checkpoint")?;
    log.map_or(Ok(()), RunLog::finish)?;
    if outcome.reason == StopReason::Interrupted {
        let step = outcome.state.progress.step;
        bail!("interrupted at step {step}; continue with --resume");
    }
    Ok(())
}
