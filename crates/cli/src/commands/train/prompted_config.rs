//! From flags to the configuration of a prompted run.

use std::{
    fs,
    path::{Path, absolute},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    device::Precision,
    prompts::{
        PromptRun,
        config::{ConfigFile, has_prompts_head},
    },
};
use toml::Table;

use crate::args::{HeadArg, TrainArgs};

/// Whether a configuration is one of the prompted form.
pub(crate) fn is_prompted(config: Option<&Path>) -> Result<bool> {
    let Some(file) = config else { return Ok(false) };
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    if has_prompts_head(&text) {
        return Ok(true);
    }
    let ConfigFile { table, .. } = ConfigFile::read(file)?;
    if table.get("data").is_some_and(|data| data.get("set").is_some()) {
        bail!("{}: [[data.set]] needs `head = \"prompts\"` in [model]", file.display());
    }
    Ok(false)
}

/// Whether flags, configuration or run ask for the prompted form.
pub(crate) fn is_requested(args: &TrainArgs) -> Result<bool> {
    if args.resume {
        return Ok(PromptRun::exists_in(&args.out));
    }
    let of_file = is_prompted(args.config.as_deref())?;
    if of_file && args.head == Some(HeadArg::Channels) {
        bail!("--head channels: the configuration has model.head = \"prompts\"");
    }
    Ok(of_file || args.head == Some(HeadArg::Prompts))
}

/// Refuses what only the form of the paper has.
pub(super) fn refuse_other_flags(args: &TrainArgs) -> Result<()> {
    let given = [
        ("--recipe", args.recipe.is_some()),
        ("--folds", args.folds.is_some()),
        ("--memory-budget", args.memory_budget.is_some()),
        ("--precision", args.precision != Precision::Float32),
    ];
    if args.resume && (args.data.is_some() || args.descriptions.is_some()) {
        bail!("--resume: the run knows its data sets; leave --data and --descriptions out");
    }
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => bail!("{flag} is for model.head = \"channels\""),
        None => Ok(()),
    }
}

/// The configuration of the file, with the values of flags.
pub(crate) fn config_file(args: &TrainArgs) -> Result<ConfigFile> {
    let mut file = match &args.config {
        Some(path) => ConfigFile::read(path)?,
        None => ConfigFile::default(),
    };
    file.set("model.head", "prompts");
    if let Some(data) = &args.data {
        let absolute = |path: &Path| absolute(path).with_context(|| path.display().to_string());
        let mut set = Table::new();
        set.insert("path".to_owned(), absolute(data)?.display().to_string().into());
        if let Some(descriptions) = &args.descriptions {
            set.insert("descriptions".to_owned(), absolute(descriptions)?.display().to_string().into());
        }
        file.push_set(set);
    }
    if let Some(size) = args.model_size {
        file.set("model_size", size.to_string());
    }
    if let Some(fold) = &args.val_fold {
        file.set("data.fold", fold.clone());
    }
    if let Some(steps) = args.steps {
        file.set("train.max_steps", i64::try_from(steps)?);
    }
    if let Some(seed) = args.seed {
        file.set("train.seed", i64::try_from(seed).with_context(|| format!("--seed: at most {}", i64::MAX))?);
    }
    for (key, path) in [
        ("pretrained.text_encoder", &args.pretrained_text_encoder),
        ("pretrained.backbone", &args.pretrained_backbone),
    ] {
        if let Some(path) = path {
            file.set(key, absolute(path)?.display().to_string());
        }
    }
    Ok(file)
}
