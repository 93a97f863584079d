//! Device, threads and time of a training, from the flags.

use std::time::Duration;

use anyhow::{Result, bail};
use bipvl::run::TrainOptions;
use burn::tensor::Device;

use crate::{args::TrainArgs, commands::memory, ranks};

/// Opens the device, after checking that it supports the other flags.
pub(crate) fn open_device(args: &TrainArgs) -> Result<Device> {
    args.precision.check(args.device)?;
    memory::check(args.memory_budget, args.device)?;
    Ok(args.device.open()?)
}

/// The command line, for the report.
pub(crate) fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// Options of a training with a data loader thread per CPU thread.
pub(crate) fn train_options(time_budget: Option<Duration>, device: &Device) -> TrainOptions {
    let communicator = ranks::communicator();
    TrainOptions { time_budget, workers: workers(), communicator, ..TrainOptions::new(device.clone()) }
}

/// Threads of the data loader.
pub(crate) fn workers() -> usize {
    rayon::current_num_threads()
}

/// Parses `--max-minutes`.
pub(crate) fn time_budget(minutes: Option<f64>) -> Result<Option<Duration>> {
    let Some(minutes) = minutes else { return Ok(None) };
    match Duration::try_from_secs_f64(minutes * 60.0) {
        Ok(budget) if !budget.is_zero() => Ok(Some(budget)),
        _ => bail!("--max-minutes: must be above 0, not {minutes}"),
    }
}
