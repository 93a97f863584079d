//! Weights, optimizer and step in one safetensors file, written to a temporary name and renamed.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use burn::{module::Module, tensor::Device};

use super::{
    TrainModule,
    optimizer::{AdamW, AdamWConfig},
};
use crate::{Error, Result};
use bipvl_nn::{
    BiPvlSeg,
    weights::{self, StateDict, TensorHandle},
};

/// Before the names of weights, moments in front of which stand `first.` and `second.`.
const TRAINEE: &str = "weights.";
/// Updates done, then mean Dice and step of the best validation, or `none`. One entry, because the order of
/// several is not fixed and equal trainings shall give equal files.
const PROGRESS: &str = "progress";

/// A training between two steps.
#[derive(Debug)]
pub struct TrainState {
    /// Everything that is learned.
    pub module: TrainModule,
    /// Its moments.
    pub optimizer: AdamW,
    /// How far it has come.
    pub progress: TrainProgress,
}

/// How far a training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainProgress {
    /// Updates done.
    pub step: usize,
    /// The best validation so far.
    pub best: Option<BestValidation>,
}

/// The best validation of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestValidation {
    /// Mean over classes.
    pub mean_dice: f64,
    /// Updates that had been done.
    pub step: usize,
}

impl TrainState {
    /// Writes everything that a training needs to go on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; an older one survives.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (_, mut named) = self.optimizer.state();
        named.extend(weights_of(&self.module));
        Ok(weights::save(path, &named, &self.metadata())?)
    }

    /// Writes the weights alone, for prediction.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        Ok(weights::save(path, &weights_of(&self.module), &self.metadata())?)
    }

    /// Reads what [`Self::save`] wrote into a module of the same architecture.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is of another architecture, or holds no training state.
    pub fn load(path: &Path, module: TrainModule, config: AdamWConfig, device: &Device) -> Result<Self> {
        let (named, metadata) = weights::load(path)?;
        let progress = progress(path, &metadata)?;
        let (ours, moments) = split(named);
        let module = weights::load_state_dict(module, ours, path)?;
        let optimizer = AdamW::restore(config, progress.step as i32, moments, device);
        Ok(Self { module, optimizer, progress })
    }

    fn metadata(&self) -> [(&'static str, String); 1] {
        let TrainProgress { step, best } = self.progress;
        let best = best.map_or("none".to_owned(), |best| format!("{} {}", best.mean_dice, best.step));
        [(PROGRESS, format!("{step} {best}"))]
    }
}

/// How far the training of a checkpoint has come; its tensors are not read.
///
/// # Errors
///
/// When the file cannot be read or is no checkpoint.
pub fn read_progress(path: &Path) -> Result<TrainProgress> {
    progress(path, &weights::metadata(path)?)
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
    Ok(weights::load_state_dict(model, model_weights, path)?)
}

fn weights_of<M: Module>(module: &M) -> BTreeMap<String, TensorHandle> {
    weights::state_dict_handles(module).into_iter().map(|(name, w)| (format!("{TRAINEE}{name}"), w)).collect()
}

/// Weights without their prefix, and moments.
fn split(named: StateDict) -> (StateDict, StateDict) {
    let (mut ours, mut moments) = (StateDict::new(), StateDict::new());
    for (name, tensor) in named {
        match name.strip_prefix(TRAINEE) {
            Some(name) => ours.insert(name.to_owned(), tensor),
            None => moments.insert(name, tensor),
        };
    }
    (ours, moments)
}

fn progress(path: &Path, metadata: &HashMap<String, String>) -> Result<TrainProgress> {
    let text = metadata.get(PROGRESS).map_or("", String::as_str);
    parse(text).ok_or_else(|| {
        Error::content(path, "the progress of a training in the metadata", format!("\"{text}\""))
    })
}

/// `STEP none`, `STEP DICE BEST_STEP`, or `STEP DICE` as written up to 0.1, which takes the best for new.
fn parse(text: &str) -> Option<TrainProgress> {
    let mut words = text.split(' ');
    let step = words.next()?.parse().ok()?;
    let mean_dice: Option<f64> = words.next()?.parse().ok();
    let best_step = words.next().map_or(Some(step), |word| word.parse().ok())?;
    Some(TrainProgress {
        step,
        best: mean_dice.map(|mean_dice| BestValidation { mean_dice, step: best_step }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_older_and_newer_checkpoints_is_read() {
        let with = |step, mean_dice, best| TrainProgress {
            step,
            best: Some(BestValidation { mean_dice, step: best }),
        };
        assert_eq!(parse("7 none"), Some(TrainProgress { step: 7, best: None }));
        assert_eq!(parse("7 0.5 4"), Some(with(7, 0.5, 4)));
        assert_eq!(parse("7 0.5"), Some(with(7, 0.5, 7)));
        assert_eq!((parse(""), parse("x 0.5 4")), (None, None));
    }
}
