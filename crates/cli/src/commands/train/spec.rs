//! The specification of a run, from the flags.

use std::path::{Path, absolute};

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    data::{Dataset, DatasetOverrides},
    nn::ModelSize,
    run::{RunDir, RunSpec},
    text::Descriptions,
};

use crate::{args::TrainArgs, commands::memory};

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
    let mut spec = RunSpec::new(config, descriptions, dataset)?;
    let (described, cases) = (spec.case_descriptions.len(), dataset.cases.len());
    if described > 0 {
        tracing::info!("{described} of {cases} cases have their own descriptions");
    }
    spec.source.clone_from(&args.config);
    spec.config = memory::fit(args.memory_budget, &spec)?;
    Ok(spec)
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
