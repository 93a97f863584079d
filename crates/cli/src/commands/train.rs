//! `bipvl train`: from a folder of labeled scans to a run with weights, scores and a report.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    data::{Case, Dataset, Split},
    model::{
        Preset,
        published::{Imported, Sizes},
    },
    run::{Run, TrainingOptions},
    text::Descriptions,
    train::{Start, checkpoint::saved_step, train},
};

use super::{judge::judge, run_log::RunLog};
use crate::{args::TrainArgs, progress};

/// Trains, then judges the best weights on the validation cases.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    let began = Instant::now();
    // Before anything is written: a refused flag leaves no half-begun run.
    let device = args.device.open()?;
    let time_budget = time_budget(args.max_minutes)?;
    let dataset = Dataset::open(&args.data)?;
    let imported = imported(args, dataset.classes.len() + 1)?;
    let run = if args.resume { Run::open(&args.out)? } else { begin(args, &dataset, &imported)? };
    let split = run.split(&dataset)?;
    let (train, val) = (split.train.len(), split.val.len());
    tracing::info!("{}: {train} cases train, {val} validate, run in {}", dataset.name, args.out.display());
    let options = TrainingOptions {
        imported,
        time_budget,
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        device: device.clone(),
    };
    learn(args.resume, &run, &dataset, &split, options)?;
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    judge(
        &run,
        &split.val,
        &device,
        &[("command", command), ("minutes", format!("{:.1}", began.elapsed().as_secs_f64() / 60.0))],
    )
}

/// How long a training may take.
fn time_budget(minutes: Option<f64>) -> Result<Option<Duration>> {
    let Some(minutes) = minutes else { return Ok(None) };
    match Duration::try_from_secs_f64(minutes * 60.0) {
        Ok(budget) if !budget.is_zero() => Ok(Some(budget)),
        _ => bail!("--max-minutes: expected more than 0, found {minutes}"),
    }
}

/// A new run with the configuration that the flags ask for.
fn begin(args: &TrainArgs, dataset: &Dataset, imported: &[Imported]) -> Result<Run> {
    let descriptions = Descriptions::read(&args.descriptions)?;
    let descriptions = descriptions.for_classes(&args.descriptions, &dataset.classes)?;
    let mut config = match &args.config {
        Some(file) => Config::from_user_file(file, dataset)?,
        None => Config::new(args.preset.unwrap_or(Preset::Tiny), dataset),
    };
    if let Some(fold) = &args.val_fold {
        config.data.fold.clone_from(fold);
        config.fold(Path::new("--val-fold"))?;
    }
    config.train.steps = args.steps.unwrap_or(config.train.steps);
    config.train.seed = args.seed.unwrap_or(config.train.seed);
    let files: Vec<PathBuf> = dataset.cases.iter().filter_map(Case::descriptions).collect();
    if !files.is_empty() {
        tracing::info!("{} of {} cases have descriptions of their own", files.len(), dataset.cases.len());
    }
    let of_cases = files.iter().map(|file| descriptions.of_case(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(Run::create(&args.out, config, descriptions, &of_cases, imported)?)
}

/// Published weights that the flags ask to begin with.
fn imported(args: &TrainArgs, outputs: usize) -> Result<Vec<Imported>> {
    let mut all = Vec::new();
    if let Some(folder) = &args.text_encoder {
        all.push(Imported::from_bert(folder)?.0);
    }
    if let Some(file) = &args.weights {
        let mut weights = Imported::load(file)?;
        if matches!(weights.sizes, Sizes::Text(_)) {
            bail!(
                "{}: expected weights of a vision side, found a text encoder; use --text-encoder",
                file.display()
            );
        }
        if weights.fit_outputs(outputs) {
            tracing::warn!(
                "{}: its logits are not for {outputs} channels; that layer begins anew",
                file.display()
            );
        }
        all.push(weights);
    }
    Ok(all)
}

/// Prepares the cases and finds the weights.
fn learn(resume: bool, run: &Run, dataset: &Dataset, split: &Split, options: TrainingOptions) -> Result<()> {
    let bar = progress::bar("preparing", split.train.len() + split.val.len());
    let task = run.task(dataset, split, options, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let last = run.last_checkpoint();
    let (start, step) = match (resume, last.exists()) {
        (true, true) => (Start::Resume, saved_step(&last)?),
        // Published weights that the run was to begin with are known to its first command alone.
        (true, false) => {
            bail!("{}: expected a checkpoint, found none yet; begin again in a new --out", last.display())
        }
        (false, _) => (Start::Fresh, 0),
    };
    let mut log = RunLog::open(&run.folder, step, run.config.train.steps)?;
    let mut failure = Ok(());
    train(&task, start, &mut |event| {
        if failure.is_ok() {
            failure = log.write(&event);
        }
    })?;
    failure.context("the log of the run")?;
    log.finish()
}
