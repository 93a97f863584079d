//! `bipvl train --folds N`: trains a run per fold, then scores all cases together, each as predicted by the run that
//! was not trained on it.

use std::time::{Duration, Instant};

use anyhow::Result;
use bipvl::{
    data::Dataset,
    run::{CrossValidation, FoldRun},
};
use burn::tensor::Device;

use super::{
    command_line, dataset_overrides, fold_report, open_device, run_spec, run_training, time_budget,
    train_options, warn_of_added_cases, with_hint,
};
use crate::{
    args::TrainArgs,
    commands::{evaluate_run::evaluate_run, memory},
};

/// Trains and evaluates the unfinished folds, then scores all cases together.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    let began = Instant::now();
    let device = open_device(args)?;
    let budget = time_budget(args.max_minutes)?;
    let (runs, dataset) = create_or_open(args)?;
    warn_of_added_cases(&runs.folds[0].run, &dataset)?;
    let mut is_first = true;
    for fold in &runs.folds {
        if is_evaluated(fold)? {
            continue;
        }
        let _lock = fold.run.lock()?;
        let left = budget.map(|budget| budget.saturating_sub(began.elapsed()));
        // However short the time is, every call makes at least one step.
        if is_first || left.is_none_or(|left| !left.is_zero()) {
            train_fold(fold, &dataset, left, &device)?;
        }
        is_first = false;
        if !fold.run.is_trained()? {
            tracing::warn!("{}: time is up; continue with --resume", fold.run.dir().display());
            return Ok(());
        }
        evaluate_run(&fold.run, &fold.split.val, &device, &[("command", command_line())])?;
    }
    memory::log_peak(args.memory_budget);
    fold_report::write(&args.out, &runs)
}

fn create_or_open(args: &TrainArgs) -> Result<(CrossValidation, Dataset)> {
    let Some(count) = args.folds else {
        let dataset = Dataset::read(args.data_set(), &CrossValidation::dataset_overrides(&args.out)?)?;
        return Ok((CrossValidation::open(&args.out, &dataset)?, dataset));
    };
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(args)?)?;
    let val_fold = Some(format!("0/{count}"));
    let spec = run_spec(&TrainArgs { val_fold, ..args.clone() }, &dataset)?;
    let runs = CrossValidation::create(&args.out, &spec, &dataset, count.into()).map_err(with_hint)?;
    Ok((runs, dataset))
}

/// The report is the last file of an evaluation.
fn is_evaluated(fold: &FoldRun) -> Result<bool> {
    Ok(fold.run.is_trained()? && fold.run.path("report.html").exists())
}

fn train_fold(fold: &FoldRun, dataset: &Dataset, left: Option<Duration>, device: &Device) -> Result<()> {
    let FoldRun { run, split } = fold;
    let (train, val) = (split.train.len(), split.val.len());
    tracing::info!("{}: {train} training and {val} validation cases", run.dir().display());
    run_training(run, dataset, split, train_options(left, device))
}
