//! The experiments that are built in: for each data set a configuration and descriptions, as they stand in
//! `configs` and `descriptions`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bipvl::{
    config::Config,
    data::{Dataset, DatasetOverrides, Layout},
    text::Descriptions,
};

/// A configuration with its descriptions, and the data set it is for.
#[derive(Debug)]
pub(crate) struct Experiment {
    pub(crate) name: &'static str,
    pub(crate) config: &'static str,
    pub(crate) descriptions: &'static str,
    pub(crate) layout: Layout,
    /// The name that `dataset.json` gives the set, where others have the same layout.
    dataset: Option<&'static str>,
}

macro_rules! experiment {
    ($name:literal, $layout:ident, $dataset:expr) => {
        Experiment {
            name: $name,
            config: include_str!(concat!("../../../configs/", $name, ".toml")),
            descriptions: include_str!(concat!("../../../descriptions/", $name, ".toml")),
            layout: Layout::$layout,
            dataset: $dataset,
        }
    };
}

/// What `bipvl demo` draws.
pub(crate) static PHANTOM: Experiment = experiment!("phantom", Decathlon, Some("Phantoms"));

static OTHERS: [Experiment; 7] = [
    experiment!("amos22-ct", Amos22, None),
    experiment!("amos22-mr", Amos22, None),
    experiment!("mmwhs-ct", Mmwhs, None),
    experiment!("mmwhs-mr", Mmwhs, None),
    experiment!("msd-brain", Decathlon, Some("BRATS")),
    experiment!("hippocampus", Decathlon, Some("Hippocampus")),
    experiment!("acdc", Acdc, None),
];

impl Experiment {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        OTHERS.iter().chain([&PHANTOM])
    }

    /// The experiment of a name.
    pub(crate) fn find(name: &str) -> Result<&'static Self, String> {
        Self::all().find(|known| known.name == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(|known| known.name).collect();
            format!("expected one of {}", names.join(", "))
        })
    }

    /// Whether the experiment is for the data set of this folder.
    pub(crate) fn fits(&self, dataset: &Dataset) -> bool {
        let has_cases = !(dataset.cases.is_empty() && dataset.test.is_empty());
        dataset.layout == self.layout && self.dataset.is_none_or(|name| name == dataset.name) && has_cases
    }

    /// What it says of the data set.
    pub(crate) fn wanted(&self) -> Result<DatasetOverrides> {
        Ok(Config::wanted(self.config, &self.path("configs"))?)
    }

    /// The configuration for a data set.
    pub(crate) fn configure(&self, dataset: &Dataset) -> Result<Config> {
        Ok(Config::from_user_text(self.config, &self.path("configs"), dataset)?)
    }

    /// The descriptions of the classes.
    pub(crate) fn describe(&self, classes: &[String]) -> Result<Descriptions> {
        let path = self.path("descriptions");
        Ok(Descriptions::parse(self.descriptions, &path)?.for_classes(&path, classes)?)
    }

    /// Where the text stands in the repository, for messages.
    pub(crate) fn path(&self, folder: &str) -> PathBuf {
        Path::new(folder).join(format!("{}.toml", self.name))
    }
}
