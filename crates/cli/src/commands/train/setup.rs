//! From flags to the specification of a run.

use std::{path::Path, path::absolute, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    data::{Case, Dataset, DatasetOverrides},
    nn::ModelSize,
    run::{RunDir, RunSpec, TrainOptions},
    text::Descriptions,
};
use burn::tensor::Device;

use crate::{args::TrainArgs, commands::memory};

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
    TrainOptions { time_budget, workers: workers(), device: device.clone() }
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

/// The part of the configuration that is needed to read the data set: that of the run to resume, of the recipe, or of
/// the file.
pub(crate) fn dataset_overrides(args: &TrainArgs) -> Result<DatasetOverrides> {
    if args.resume {
        return Ok(RunDir::open(&args.out)?.config.data.dataset_overrides());
    }
    Ok(match (args.recipe, &args.config) {
        (Some(recipe), _) => recipe.dataset_overrides()?,
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Config::dataset_overrides(&text, file)?
        }
        (None, None) => DatasetOverrides::default(),
    })
}

/// The run that the flags specify, within the memory budget.
pub(crate) fn run_spec(args: &TrainArgs, dataset: &Dataset) -> Result<RunSpec> {
    let (config, descriptions) = config_and_descriptions(args, dataset)?;
    let pretrained = config.pretrained.load(dataset.label_schema.num_logit_channels())?;
    let case_descriptions = case_descriptions(dataset, &descriptions)?;
    let mut spec = RunSpec { config, descriptions, case_descriptions, pretrained: Arc::new(pretrained) };
    spec.config = memory::fit(args.memory_budget, &spec)?;
    Ok(spec)
}

/// The descriptions of cases that have their own, by id.
fn case_descriptions(dataset: &Dataset, descriptions: &Descriptions) -> Result<Vec<(String, Descriptions)>> {
    let with_file = |case: &Case| Some((case.id.clone(), case.descriptions_path()?));
    let files: Vec<_> = dataset.cases.iter().filter_map(with_file).collect();
    if !files.is_empty() {
        tracing::info!("{} of {} cases have their own descriptions", files.len(), dataset.cases.len());
    }
    files.into_iter().map(|(case, file)| Ok((case, descriptions.with_case_overrides(&file)?))).collect()
}

/// The configuration and the descriptions that the flags specify.
pub(crate) fn config_and_descriptions(args: &TrainArgs, dataset: &Dataset) -> Result<(Config, Descriptions)> {
    let classes = dataset.label_schema.names();
    let descriptions = match (&args.descriptions, args.recipe) {
        (Some(file), _) => Descriptions::read(file)?.for_classes(file, &classes)?,
        (None, Some(recipe)) => recipe.describe(&classes)?,
        (None, None) => bail!("--descriptions: required without --recipe"),
    };
    let mut config = match (args.recipe, &args.config) {
        (Some(recipe), _) => recipe.configure(dataset)?,
        (None, Some(file)) => Config::from_file(file, dataset)?,
        (None, None) => Config::new(args.model_size.unwrap_or(ModelSize::Tiny), dataset),
    };
    if let Some(fold) = &args.val_fold {
        config.data.fold.clone_from(fold);
        config.data.split.val = None;
        config.data.parse_fold(Path::new("--val-fold"))?;
    }
    config.train.max_steps = args.steps.unwrap_or(config.train.max_steps);
    config.train.seed = args.seed.unwrap_or(config.train.seed);
    // Absolute, so that a run without a checkpoint can be resumed from another directory.
    let to_absolute = |path: &Path| absolute(path).with_context(|| path.display().to_string());
    if let Some(path) = &args.pretrained_text_encoder {
        config.pretrained.text_encoder = Some(to_absolute(path)?);
    }
    if let Some(path) = &args.pretrained_backbone {
        config.pretrained.backbone = Some(to_absolute(path)?);
    }
    Ok((config, descriptions))
}
