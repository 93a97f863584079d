//! Weights, optimizer and step in one safetensors file, written to a temporary name and renamed.

use std::{collections::HashMap, path::Path};

use burn::{module::Module, tensor::Device};

use super::{
    Trainee,
    optimizer::{AdamW, AdamWConfig},
};
use crate::{
    error::{Error, Result},
    model::{
        BiPvlSeg,
        weights::{self, NamedWeights},
    },
};

/// Before the names of weights, moments in front of which stand `first.` and `second.`.
const TRAINEE: &str = "weights.";
/// Updates done, and mean Dice of the best validation or `none`. One entry, because the order of several is
/// not fixed and equal trainings shall give equal files.
const PROGRESS: &str = "progress";

/// A training between two steps.
#[derive(Debug)]
pub struct Checkpoint {
    /// Everything that is learned.
    pub trainee: Trainee,
    /// Its moments.
    pub optimizer: AdamW,
    /// Updates done.
    pub step: usize,
    /// Mean Dice of the best validation so far.
    pub best_dice: Option<f64>,
}

impl Checkpoint {
    /// Writes everything that a training needs to go on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; an older one survives.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (_, mut named) = self.optimizer.state();
        named.extend(weights_of(&self.trainee));
        weights::save(path, &named, &self.metadata())
    }

    /// Writes the weights alone, for prediction.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        weights::save(path, &weights_of(&self.trainee), &self.metadata())
    }

    /// Reads what [`Self::save`] wrote into a trainee of the same architecture.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is of another architecture, or holds no training state.
    pub fn load(path: &Path, trainee: Trainee, config: AdamWConfig, device: &Device) -> Result<Self> {
        let (named, metadata) = weights::load(path)?;
        let (step, best_dice) = progress(path, &metadata)?;
        let (ours, moments) = split(named);
        let trainee = weights::apply(trainee, ours, path)?;
        Ok(Self { trainee, optimizer: AdamW::restore(config, step as i32, moments, device), step, best_dice })
    }

    fn metadata(&self) -> [(&'static str, String); 1] {
        let best = self.best_dice.map_or("none".to_owned(), |dice| dice.to_string());
        [(PROGRESS, format!("{} {best}", self.step))]
    }
}

/// Updates that went into a checkpoint; its tensors are not read.
///
/// # Errors
///
/// When the file cannot be read or is no checkpoint.
pub fn saved_step(path: &Path) -> Result<usize> {
    Ok(progress(path, &weights::metadata(path)?)?.0)
}

/// Reads the model of a checkpoint for prediction.
///
/// # Errors
///
/// When the file cannot be read or is of another architecture.
pub fn load_model(path: &Path, model: BiPvlSeg) -> Result<BiPvlSeg> {
    let (named, _) = weights::load(path)?;
    let (ours, _) = split(named);
    let model_weights =
        ours.into_iter().filter_map(|(name, w)| Some((name.strip_prefix("model.")?.to_owned(), w))).collect();
    weights::apply(model, model_weights, path)
}

fn weights_of<M: Module>(module: &M) -> NamedWeights {
    weights::collect(module).into_iter().map(|(name, w)| (format!("{TRAINEE}{name}"), w)).collect()
}

/// Weights without their prefix, and moments.
fn split(named: NamedWeights) -> (NamedWeights, NamedWeights) {
    let (mut ours, mut moments) = (NamedWeights::new(), NamedWeights::new());
    for (name, tensor) in named {
        match name.strip_prefix(TRAINEE) {
            Some(name) => ours.insert(name.to_owned(), tensor),
            None => moments.insert(name, tensor),
        };
    }
    (ours, moments)
}

fn progress(path: &Path, metadata: &HashMap<String, String>) -> Result<(usize, Option<f64>)> {
    let text = metadata.get(PROGRESS).map_or("", String::as_str);
    let parsed = text.split_once(' ').and_then(|(step, best)| Some((step.parse().ok()?, best.parse().ok())));
    parsed.ok_or_else(|| {
        Error::content(path, "the progress of a training in the metadata", format!("\"{text}\""))
    })
}
