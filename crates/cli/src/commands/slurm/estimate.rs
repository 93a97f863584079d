//! The memory of a training, from the estimate of `--memory-budget`.

use anyhow::Result;
use bipvl::{
    data::Dataset,
    device::DeviceKind,
    run::{GB, MemoryBudget},
};

use crate::{
    args::TrainArgs,
    commands::train::{dataset_overrides, is_prompted_training, run_spec},
};

/// The peak of the training steps in GB; `None` for a training whose memory cannot be estimated: with prompts, on another
/// device than the CPU, or of a run that exists.
///
/// # Errors
///
/// When the data set, the configuration or the descriptions cannot be read.
pub(super) fn training_gb(args: &TrainArgs, threads: usize) -> Result<Option<f64>> {
    if args.resume || args.device != DeviceKind::Cpu || is_prompted_training(args)? {
        return Ok(None);
    }
    if let Some(gb) = args.memory_budget {
        return Ok(Some(gb));
    }
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(args)?)?;
    let (_, reduction) =
        MemoryBudget { gb: f64::INFINITY, workers: threads }.fit(&run_spec(args, &dataset)?)?;
    Ok(Some(reduction.peaks[0] / GB))
}
