//! `bipvl train`: from a folder of labeled scans to a run with weights, scores and a report.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    data::{Case, Dataset, DatasetOverrides, Split},
    nn::{
        ModelSize,
        interop::{PretrainedConfig, PretrainedWeights},
    },
    run::{Folds, RunDir, TrainOptions},
    text::Descriptions,
    train::{Start, checkpoint::read_progress, train},
};
use burn::tensor::Device;

use super::{folds, judge::judge, memory, run_log::RunLog};
use crate::{args::TrainArgs, progress};

/// Trains, then judges the best weights on the cases put aside for that; or does so for every fold.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    if args.folds.is_some() || (args.resume && Folds::exists_in(&args.out)) {
        return folds::run(args);
    }
    let began = Instant::now();
    // Before anything is written: a refused flag leaves no half-begun run.
    let device = open_device(args)?;
    let time_budget = time_budget(args.max_minutes)?;
    let dataset = Dataset::read(&args.data, &wanted(args)?)?;
    let imported = imported(args, dataset.label_schema.num_logit_channels())?;
    let run = if args.resume {
        RunDir::open(&args.out)?
    } else {
        Outset::new(args, &dataset, &imported)?.begin(&args.out, &imported)?
    };
    let split = run.split(&dataset)?;
    let [train, val, test] = [&split.train, &split.val, &split.test].map(Vec::len);
    let (name, out) = (&dataset.name, args.out.display());
    tracing::info!("{name}: {train} cases train, {val} validate, {test} test, run in {out}");
    learn(args.resume, &run, &dataset, &split, options(imported, time_budget, &device))?;
    memory::tell_peak(args.memory_budget);
    judge(
        &run,
        split.evaluation_cases(),
        &device,
        &[("command", command_line()), ("minutes", format!("{:.1}", began.elapsed().as_secs_f64() / 60.0))],
    )
}

/// The device that the flags ask for, if it can do what they ask for.
pub(super) fn open_device(args: &TrainArgs) -> Result<Device> {
    args.precision.check(args.device)?;
    memory::check(args.memory_budget, args.device)?;
    Ok(args.device.open()?)
}

/// The command as it was given, for the report.
pub(super) fn command_line() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}

/// What a training on all processors needs besides its run.
pub(super) fn options(
    imported: Vec<PretrainedWeights>,
    time_budget: Option<Duration>,
    device: &Device,
) -> TrainOptions {
    TrainOptions { imported, time_budget, workers: workers(), device: device.clone() }
}

/// Threads that cut patches: as many as the program may use.
pub(super) fn workers() -> usize {
    rayon::current_num_threads()
}

/// How long a training may take.
pub(super) fn time_budget(minutes: Option<f64>) -> Result<Option<Duration>> {
    let Some(minutes) = minutes else { return Ok(None) };
    match Duration::try_from_secs_f64(minutes * 60.0) {
        Ok(budget) if !budget.is_zero() => Ok(Some(budget)),
        _ => bail!("--max-minutes: expected more than 0, found {minutes}"),
    }
}

/// What the run, the recipe or the file that the flags name says of the data set.
pub(super) fn wanted(args: &TrainArgs) -> Result<DatasetOverrides> {
    if args.resume {
        return Ok(RunDir::open(&args.out)?.config.data.dataset_overrides());
    }
    Ok(match (args.recipe, &args.config) {
        (Some(recipe), _) => recipe.dataset_overrides()?,
        (None, Some(file)) => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Config::dataset_overrides(&text, file)?
        }
        (None, None) => DatasetOverrides::default(),
    })
}

/// What new runs begin with.
#[derive(Clone)]
pub(super) struct Outset {
    pub(super) config: Config,
    pub(super) descriptions: Descriptions,
    /// What single cases say of their own, by the case's id.
    pub(super) of_cases: Vec<(String, Descriptions)>,
}

impl Outset {
    /// What the flags ask for, within their memory budget.
    pub(super) fn new(args: &TrainArgs, dataset: &Dataset, imported: &[PretrainedWeights]) -> Result<Self> {
        let (config, descriptions) = plan(args, dataset)?;
        let of_cases = of_cases(dataset, &descriptions)?;
        let words = words(&of_cases);
        let config = memory::fit(args.memory_budget, config, &descriptions, &words, imported)?;
        Ok(Self { config, descriptions, of_cases })
    }

    /// A new run in the folder `out`.
    pub(super) fn begin(self, out: &Path, imported: &[PretrainedWeights]) -> Result<RunDir> {
        Ok(RunDir::create(out, self.config, self.descriptions, &words(&self.of_cases), imported)?)
    }
}

/// The descriptions without whose they are.
pub(super) fn words(of_cases: &[(String, Descriptions)]) -> Vec<Descriptions> {
    of_cases.iter().map(|(_, own)| own.clone()).collect()
}

/// The descriptions of the cases that have some of their own, by the case's id.
pub(super) fn of_cases(
    dataset: &Dataset,
    descriptions: &Descriptions,
) -> Result<Vec<(String, Descriptions)>> {
    let file = |case: &Case| Some((case.id.clone(), case.descriptions_path()?));
    let files: Vec<(String, PathBuf)> = dataset.cases.iter().filter_map(file).collect();
    if !files.is_empty() {
        tracing::info!("{} of {} cases have descriptions of their own", files.len(), dataset.cases.len());
    }
    files.into_iter().map(|(case, file)| Ok((case, descriptions.with_case_overrides(&file)?))).collect()
}

/// The configuration and the descriptions that the flags ask for.
pub(super) fn plan(args: &TrainArgs, dataset: &Dataset) -> Result<(Config, Descriptions)> {
    let descriptions = match (&args.descriptions, args.recipe) {
        (Some(file), _) => Descriptions::read(file)?.for_classes(file, &dataset.label_schema.names())?,
        (None, Some(recipe)) => recipe.describe(&dataset.label_schema.names())?,
        (None, None) => bail!("--descriptions: expected a file, found none"),
    };
    let mut config = match (args.recipe, &args.config) {
        (Some(recipe), _) => recipe.configure(dataset)?,
        (None, Some(file)) => Config::from_user_file(file, dataset)?,
        (None, None) => Config::new(args.model_size.unwrap_or(ModelSize::Tiny), dataset),
    };
    if let Some(fold) = &args.val_fold {
        config.data.fold.clone_from(fold);
        config.data.split.val = None;
        config.fold(Path::new("--val-fold"))?;
    }
    config.train.max_steps = args.steps.unwrap_or(config.train.max_steps);
    config.train.seed = args.seed.unwrap_or(config.train.seed);
    Ok((config, descriptions))
}

/// Published weights that the flags ask to begin with.
pub(super) fn imported(args: &TrainArgs, outputs: usize) -> Result<Vec<PretrainedWeights>> {
    let mut all = Vec::new();
    if let Some(folder) = &args.pretrained_text_encoder {
        all.push(PretrainedWeights::from_bert(folder)?.0);
    }
    if let Some(file) = &args.pretrained_backbone {
        let mut weights = PretrainedWeights::load(file)?;
        if matches!(weights.config, PretrainedConfig::Text(_)) {
            bail!(
                "{}: expected weights of a vision side, found a text encoder; use --pretrained-text-encoder",
                file.display()
            );
        }
        if weights.drop_mismatched_head(outputs) {
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
pub(super) fn learn(
    resume: bool,
    run: &RunDir,
    dataset: &Dataset,
    split: &Split,
    options: TrainOptions,
) -> Result<()> {
    let bar = progress::bar("preparing", split.train.len() + split.val.len());
    let setup = run.train_setup(dataset, split, options, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let last = run.last_checkpoint();
    let (start, step) = match (resume, last.exists()) {
        (true, true) => (Start::Resume, read_progress(&last)?.step),
        // Published weights that the run was to begin with are known to its first command alone.
        (true, false) => {
            bail!("{}: expected a checkpoint, found none yet; begin again in a new --out", last.display())
        }
        (false, _) => (Start::Fresh, 0),
    };
    let mut log = RunLog::open(&run.folder, step, run.config.train.max_steps)?;
    let mut failure = Ok(());
    train(&setup, start, &mut |event| {
        if failure.is_ok() {
            failure = log.write(&event);
        }
    })?;
    failure.context("the log of the run")?;
    log.finish()
}
