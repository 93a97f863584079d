//! `bipvl train`: from a data set to a run with weights, scores and a report.

mod event_log;
mod fold_report;
mod folds;
mod prompted;
mod prompted_config;
mod prompted_create;
mod prompted_log;
mod prompted_report;
mod run_training;
mod setup;
mod spec;

pub(crate) use prompted::{open_sets, train_prompted};
pub(crate) use prompted_config::{config_file, is_prompted, is_requested as is_prompted_training};
pub(crate) use prompted_report::evaluate_prompted;
pub(crate) use run_training::run_training;
pub(crate) use setup::{command_line, open_device, time_budget, train_options, workers};
pub(crate) use spec::{config_and_descriptions, dataset_overrides, run_spec};

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use bipvl::{data::Dataset, infer::Folds, run::RunDir};

use super::{evaluate_run::evaluate_run, memory, prompts::warn_of_truncation};
use crate::{
    args::{TrainArgs, missing_argument},
    interrupt, ranks,
};

/// Trains one run or all folds of a cross-validation, and evaluates the best weights on the held-out cases.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    interrupt::install();
    if ranks::communicator().size() > 1 && (args.folds.is_some() || Folds::exists_in(&args.out)) {
        bail!("folds are trained one by one; start a job for each with --val-fold");
    }
    if prompted_config::is_requested(args)? {
        return prompted::run(args);
    }
    refuse_prompted_flags(args)?;
    if args.folds.is_some() || (args.resume && Folds::exists_in(&args.out)) {
        return folds::run(args);
    }
    let began = Instant::now();
    // Refuse bad flags before anything is written.
    let device = open_device(args)?;
    let time_budget = time_budget(args.max_minutes)?;
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(args)?)?;
    let ranks = ranks::communicator();
    let run = if args.resume {
        RunDir::open(&args.out)?
    } else if ranks.is_main() {
        RunDir::create(&args.out, &run_spec(args, &dataset)?, &dataset).map_err(with_hint)?
    } else {
        ranks.barrier();
        RunDir::open(&args.out)?
    };
    let _lock = ranks.is_main().then(|| run.lock()).transpose()?;
    if ranks.is_main() && !args.resume {
        ranks.barrier();
    }
    let split = run.split(&dataset)?;
    warn_of_added_cases(&run, &dataset)?;
    warn_of_truncation(&run.model, &run.path("descriptions.toml"), &run.model.descriptions);
    let [train, val, test] = [&split.train, &split.val, &split.test].map(Vec::len);
    let (name, out) = (&dataset.name, args.out.display());
    tracing::info!("{name}: {train} training, {val} validation and {test} test cases, run in {out}");
    run_training(&run, &dataset, &split, train_options(time_budget, &device))?;
    if !ranks.is_main() {
        return Ok(());
    }
    memory::log_peak(args.memory_budget);
    let minutes = format!("{:.1}", began.elapsed().as_secs_f64() / 60.0);
    let settings = [("command", command_line()), ("minutes", minutes)];
    evaluate_run(&run, split.evaluation_cases(), &device, &settings)
}

fn refuse_prompted_flags(args: &TrainArgs) -> Result<()> {
    if args.from.is_some() {
        bail!("--from needs model.head = \"prompts\" (--head prompts)");
    }
    if args.descriptions.is_none() && args.recipe.is_none() && !args.resume {
        missing_argument("--descriptions <FILE>");
    }
    Ok(())
}

/// Adds the flag that helps.
pub(crate) fn with_hint(error: bipvl::train::Error) -> anyhow::Error {
    use bipvl::train::Error;
    match error {
        Error::RunExists { .. } => anyhow!("{error}; continue it with --resume, or use another --out"),
        Error::RunMismatch { .. } | Error::DescriptionsMismatch { .. } => {
            anyhow!("{error}; use another --out")
        }
        Error::TooFewCases { .. } => anyhow!("--folds: {error}"),
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
