//! The models of a worker.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use bipvl::prompts::Model;
use burn::tensor::Device;

use crate::{args::NamedRun, commands::predict::record::model_hash};

/// A model in memory.
pub(super) struct LoadedModel {
    pub(super) model: Model,
    /// Their hash.
    pub(super) weights: String,
}

/// Models by the names that studies have for them.
pub(super) struct Models(BTreeMap<String, LoadedModel>);

impl Models {
    /// Opens runs.
    pub(super) fn open(runs: &[NamedRun], device: &Device) -> Result<Self> {
        let mut models = BTreeMap::new();
        for NamedRun { name, run } in runs {
            let model = Model::open(std::slice::from_ref(run), device, None)?;
            let weights = model_hash(std::slice::from_ref(run))?;
            tracing::info!("model {name}: {}, weights {weights}", run.display());
            if models.insert(name.clone(), LoadedModel { model, weights }).is_some() {
                bail!("--model: two are called `{name}`; give each a name of its own: NAME=RUN");
            }
        }
        Ok(Self(models))
    }

    pub(super) fn get(&self, name: &str) -> Option<&LoadedModel> {
        self.0.get(name)
    }

    /// Their names, for messages.
    pub(super) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
