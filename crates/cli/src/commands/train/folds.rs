//! `bipvl train --folds N`: trains a run per fold, then scores all cases together, each as predicted by the run that
//! was not trained on it. The folds may be trained by processes of their own, such as the tasks of a job array.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bipvl::{
    data::Dataset,
    infer::Folds,
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
    if let (Some(fold), Some(count)) = (args.only_fold, args.folds) {
        return run_one(args, fold, count, budget, &device);
    }
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

/// Trains and evaluates one fold; other processes do the others. Whichever ends last scores all cases together.
fn run_one(args: &TrainArgs, fold: u16, count: u16, budget: Option<Duration>, device: &Device) -> Result<()> {
    if fold >= count {
        bail!("--only-fold: {count} folds are 0 to {}, not {fold}", count - 1);
    }
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(args)?)?;
    let val_fold = Some(format!("{fold}/{count}"));
    let spec = run_spec(&TrainArgs { val_fold, ..args.clone() }, &dataset)?;
    let run = CrossValidation::open_or_create_fold(&args.out, &spec, &dataset, fold.into(), count.into())
        .map_err(with_hint)?;
    let lock = run.run.lock()?;
    if !is_evaluated(&run)? {
        train_fold(&run, &dataset, budget, device)?;
        if !run.run.is_trained()? {
            bail!("{}: time is up; the same command continues", run.run.dir().display());
        }
        evaluate_run(&run.run, &run.split.val, device, &[("command", command_line())])?;
    }
    memory::log_peak(args.memory_budget);
    drop(lock);
    let folds = Folds { count: count.into() }.run_dirs(&args.out);
    if folds.iter().any(|folder| !folder.join("report.html").exists()) {
        return Ok(());
    }
    fold_report::write(&args.out, &CrossValidation::open(&args.out, &dataset)?)
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
