//! Built-in recipes: a configuration and descriptions per published data set, from `configs` and `descriptions`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bipvl::{
    config::Config,
    data::{Dataset, DatasetOverrides, Layout},
    text::Descriptions,
};

/// A configuration and class descriptions for one data set.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) config: &'static str,
    pub(crate) descriptions: &'static str,
    pub(crate) layout: Layout,
    /// `name` in `dataset.json`, where several data sets share a layout.
    dataset: Option<&'static str>,
}

macro_rules! recipe {
    ($name:literal, $layout:ident, $dataset:expr) => {
        Recipe {
            name: $name,
            config: include_str!(concat!("../../../configs/", $name, ".toml")),
            descriptions: include_str!(concat!("../../../descriptions/", $name, ".toml")),
            layout: Layout::$layout,
            dataset: $dataset,
        }
    };
}

/// The phantoms of `bipvl demo`.
pub(crate) static PHANTOM: Recipe = recipe!("phantom", Decathlon, Some("Phantoms"));

static OTHERS: [Recipe; 7] = [
    recipe!("amos22-ct", Amos22, None),
    recipe!("amos22-mr", Amos22, None),
    recipe!("mmwhs-ct", Mmwhs, None),
    recipe!("mmwhs-mr", Mmwhs, None),
    recipe!("msd-brain", Decathlon, Some("BRATS")),
    recipe!("hippocampus", Decathlon, Some("Hippocampus")),
    recipe!("acdc", Acdc, None),
];

impl Recipe {
    /// All recipes.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        OTHERS.iter().chain([&PHANTOM])
    }

    /// Finds a recipe by name.
    ///
    /// # Errors
    ///
    /// If there is none; the message lists all names.
    pub(crate) fn find(name: &str) -> Result<&'static Self, String> {
        Self::all().find(|recipe| recipe.name == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(|recipe| recipe.name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }

    /// Whether the recipe is for this data set.
    pub(crate) fn fits(&self, dataset: &Dataset) -> bool {
        let has_cases = !(dataset.cases.is_empty() && dataset.test.is_empty());
        dataset.layout == self.layout && self.dataset.is_none_or(|name| name == dataset.name) && has_cases
    }

    /// Class and modality settings for reading the data set.
    pub(crate) fn dataset_overrides(&self) -> Result<DatasetOverrides> {
        Ok(Config::dataset_overrides(self.config, &self.path("configs"))?)
    }

    /// The configuration for a data set.
    pub(crate) fn configure(&self, dataset: &Dataset) -> Result<Config> {
        Ok(Config::from_toml(self.config, &self.path("configs"), dataset)?)
    }

    /// The class descriptions.
    pub(crate) fn describe(&self, classes: &[String]) -> Result<Descriptions> {
        let path = self.path("descriptions");
        Ok(Descriptions::parse(self.descriptions, &path)?.for_classes(&path, classes)?)
    }

    /// Path of the file in the repository, for messages.
    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        Path::new(folder).join(format!("{}.toml", self.name))
    }
}
