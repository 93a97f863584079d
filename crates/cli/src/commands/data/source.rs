//! The configuration that a data set is read with, and the command that starts a training with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl::{
    config::Config,
    data::{Dataset, DatasetOverrides, Layout},
    nn::ModelSize,
};

use crate::recipes::Recipe;

/// What a data set is read with.
pub(super) enum Source {
    File(PathBuf),
    Recipe(&'static Recipe),
    Defaults,
}

impl Source {
    /// The configuration of a training, and its path for messages.
    pub(super) fn config(&self, dataset: &Dataset) -> Result<(Config, PathBuf)> {
        Ok(match self {
            Self::File(file) => (Config::from_file(file, dataset)?, file.clone()),
            Self::Recipe(recipe) => (recipe.configure(dataset)?, recipe.path("configs")),
            Self::Defaults => (Config::new(ModelSize::Tiny, dataset), dataset.root.clone()),
        })
    }
}

/// The data set with the overrides of the configuration, or of each recipe that is for this folder.
pub(super) fn datasets(root: &Path, config: Option<&Path>) -> Result<Vec<(Dataset, Source)>> {
    if let Some(file) = config {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let dataset = Dataset::list(root, &Config::dataset_overrides(&text, file)?)?;
        return Ok(vec![(dataset, Source::File(file.to_owned()))]);
    }
    let layout = Layout::detect(root)?;
    let mut fitting = Vec::new();
    for recipe in Recipe::all().filter(|recipe| recipe.layout == layout) {
        let overrides = recipe.dataset_overrides()?;
        // Its classes may not fit the labels of another data set in this layout.
        let plain = DatasetOverrides { modality: overrides.modality, ..DatasetOverrides::default() };
        if recipe.fits(&Dataset::list(root, &plain)?) {
            fitting.push((Dataset::list(root, &overrides)?, Source::Recipe(recipe)));
        }
    }
    if fitting.is_empty() {
        fitting.push((Dataset::list(root, &DatasetOverrides::default())?, Source::Defaults));
    }
    Ok(fitting)
}

/// The command that starts a training.
pub(super) fn command(data: &Path, source: &Source) -> String {
    let (data, missing) = (quoted(data), Path::new("DESCRIPTIONS.toml"));
    match source {
        Source::Recipe(Recipe { name, .. }) => {
            format!("bipvl train --data {data} --recipe {name} --out runs/{name}")
        }
        Source::File(config) => {
            let name = config.file_name().unwrap_or_default();
            let beside = config.with_file_name("descriptions").join(name);
            let shared = config.parent().map(|folder| folder.with_file_name("descriptions").join(name));
            let descriptions = [Some(beside), shared].into_iter().flatten().find(|path| path.is_file());
            let descriptions = quoted(descriptions.as_deref().unwrap_or(missing));
            let run = quoted(&Path::new("runs").join(config.file_stem().unwrap_or_default()));
            let config = quoted(config);
            format!("bipvl train --data {data} --config {config} --descriptions {descriptions} --out {run}")
        }
        Source::Defaults => {
            format!("bipvl train --data {data} --descriptions {} --out runs/first", missing.display())
        }
    }
}

/// A path in the syntax of a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:@,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
