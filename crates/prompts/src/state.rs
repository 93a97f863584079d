//! A prompted training between two steps, in one safetensors file.

use std::path::Path;

use bipvl_nn::weights::{self, StateDict, load_state_dict, state_dict_handles};
use bipvl_train::optimizer::{AdamW, AdamWConfig};
use burn::tensor::Device;

use crate::{Error, Result, train::PromptModule};

/// Before the names of weights; those of the optimizer have their own.
const WEIGHTS: &str = "weights.";
/// Metadata: steps done, then mean Dice and step of the best validation, or `none`.
const PROGRESS: &str = "progress";

/// A prompted training between two steps.
#[derive(Debug)]
pub struct PromptTrainState {
    /// Everything that is trained.
    pub module: PromptModule,
    /// Its moments.
    pub optimizer: AdamW,
    /// Steps done.
    pub step: usize,
    /// Mean Dice and step of the best validation.
    pub best: Option<(f64, usize)>,
}

impl PromptTrainState {
    /// Writes everything that a training needs to go on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; an older one survives.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (_, mut named) = self.optimizer.state();
        named.extend(self.named_weights());
        Ok(weights::save(path, &named, &self.metadata())?)
    }

    /// Writes the weights alone, for prediction.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        Ok(weights::save(path, &self.named_weights().collect(), &self.metadata())?)
    }

    /// Reads what [`Self::save`] wrote into a module of the same architecture.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is of another architecture, or holds no training state.
    pub fn load(path: &Path, module: PromptModule, config: AdamWConfig, device: &Device) -> Result<Self> {
        let (named, metadata) = weights::load(path)?;
        let text = metadata.get(PROGRESS).map_or("", String::as_str);
        let (step, best) = parse(text).ok_or_else(|| Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("progress is \"{text}\""),
        })?;
        let (ours, moments) = split(named);
        let module = load_state_dict(module, ours, path)?;
        let optimizer = AdamW::restore(config, step as i32, moments, device);
        Ok(Self { module, optimizer, step, best })
    }

    fn named_weights(&self) -> impl Iterator<Item = (String, weights::TensorHandle)> {
        state_dict_handles(&self.module).into_iter().map(|(name, w)| (format!("{WEIGHTS}{name}"), w))
    }

    fn metadata(&self) -> [(&'static str, String); 1] {
        let best = self.best.map_or("none".to_owned(), |(dice, step)| format!("{dice} {step}"));
        [(PROGRESS, format!("{} {best}", self.step))]
    }
}

/// Weights without their prefix, and moments.
pub(crate) fn split(named: StateDict) -> (StateDict, StateDict) {
    let (mut ours, mut moments) = (StateDict::new(), StateDict::new());
    for (name, tensor) in named {
        match name.strip_prefix(WEIGHTS) {
            Some(name) => ours.insert(name.to_owned(), tensor),
            None => moments.insert(name, tensor),
        };
    }
    (ours, moments)
}

fn parse(text: &str) -> Option<(usize, Option<(f64, usize)>)> {
    let mut words = text.split(' ');
    let step = words.next()?.parse().ok()?;
    match words.next()? {
        "none" => Some((step, None)),
        dice => Some((step, Some((dice.parse().ok()?, words.next()?.parse().ok()?)))),
    }
}
