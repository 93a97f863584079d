//! Checkpoints: weights, optimizer state and progress in one safetensors file, written atomically.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use bipvl_infer::weights_file::WEIGHTS_PREFIX;
use bipvl_nn::weights::{self, StateDict, TensorHandle};
use burn::{module::Module, tensor::Device};

use crate::{
    Error, Result, TrainModule,
    optimizer::{AdamW, AdamWConfig},
};

/// The only metadata key: the order of several is not deterministic, and equal trainings must give equal files.
const PROGRESS: &str = "progress";
/// A word of [`PROGRESS`] if a validation was interrupted.
const PENDING: &str = "validation-pending";
/// A word of [`PROGRESS`], before the number of processes where there are several.
const RANKS: &str = "ranks";

/// A training between two steps.
#[derive(Debug)]
pub struct TrainState<M = TrainModule> {
    /// Trainable parameters.
    pub module: M,
    /// Optimizer.
    pub optimizer: AdamW,
    /// Progress.
    pub progress: TrainProgress,
}

/// Progress of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainProgress {
    /// Optimizer steps done.
    pub step: usize,
    /// The best validation so far.
    pub best: Option<BestValidation>,
    /// Whether the validation of this step was interrupted and is still to be done.
    pub validation_pending: bool,
    /// Processes that trained together.
    pub ranks: usize,
}

impl Default for TrainProgress {
    fn default() -> Self {
        Self { step: 0, best: None, validation_pending: false, ranks: 1 }
    }
}

/// The best validation of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BestValidation {
    /// Mean over the classes.
    pub mean_dice: f64,
    /// Steps done.
    pub step: usize,
}

impl<M: Module> TrainState<M> {
    /// Writes weights, optimizer state and progress.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; an existing one is kept then.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = self.optimizer.state_dict();
        tensors.extend(prefixed_weights(&self.module));
        Ok(weights::save(path, &tensors, &self.metadata())?)
    }

    /// Writes the weights only, for prediction.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub fn save_weights(&self, path: &Path) -> Result<()> {
        Ok(weights::save(path, &prefixed_weights(&self.module), &self.metadata())?)
    }

    /// Reads a checkpoint into a module of the same architecture.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has another architecture, or no training state.
    pub fn load(path: &Path, module: M, config: AdamWConfig, device: &Device) -> Result<Self> {
        let (tensors, metadata) = weights::load(path)?;
        let progress = progress(path, &metadata)?;
        let (mut weights, mut optimizer) = (StateDict::new(), StateDict::new());
        for (name, tensor) in tensors {
            match name.strip_prefix(WEIGHTS_PREFIX) {
                Some(name) => weights.insert(name.to_owned(), tensor),
                None => optimizer.insert(name, tensor),
            };
        }
        let module = weights::load_state_dict(module, weights, path)?;
        let optimizer = AdamW::load_state_dict(config, optimizer, device).ok_or_else(|| {
            Error::NotACheckpoint { path: path.to_owned(), reason: "no optimizer state".to_owned() }
        })?;
        Ok(Self { module, optimizer, progress })
    }

    fn metadata(&self) -> [(&'static str, String); 1] {
        let TrainProgress { step, best, validation_pending, ranks } = self.progress;
        let best = best.map_or("none".to_owned(), |best| format!("{} {}", best.mean_dice, best.step));
        let pending = if validation_pending { format!(" {PENDING}") } else { String::new() };
        let ranks = if ranks > 1 { format!(" {RANKS} {ranks}") } else { String::new() };
        [(PROGRESS, format!("{step} {best}{pending}{ranks}"))]
    }
}

/// Reads the progress of a checkpoint, without its tensors.
///
/// # Errors
///
/// When the file cannot be read or is not a checkpoint.
pub fn read_progress(path: &Path) -> Result<TrainProgress> {
    progress(path, &weights::metadata(path)?)
}

fn prefixed_weights<M: Module>(module: &M) -> BTreeMap<String, TensorHandle> {
    let tensors = weights::state_dict_handles(module).into_iter();
    tensors.map(|(name, tensor)| (format!("{WEIGHTS_PREFIX}{name}"), tensor)).collect()
}

fn progress(path: &Path, metadata: &HashMap<String, String>) -> Result<TrainProgress> {
    let text = metadata.get(PROGRESS).map_or("", String::as_str);
    parse_progress(text).ok_or_else(|| Error::NotACheckpoint {
        path: path.to_owned(),
        reason: format!("its metadata has the progress \"{text}\""),
    })
}

/// Parses `STEP none` or `STEP DICE BEST_STEP`, then [`PENDING`] if a validation is, and [`RANKS`] with their number if
/// there were several.
fn parse_progress(text: &str) -> Option<TrainProgress> {
    let (text, ranks) = match text.split_once(RANKS) {
        Some((text, ranks)) => (text.trim_end(), ranks.trim().parse().ok()?),
        None => (text, 1),
    };
    let validation_pending = text.ends_with(PENDING);
    let mut words = text.trim_end_matches(PENDING).split_whitespace();
    let step = words.next()?.parse().ok()?;
    let best = match words.next()? {
        "none" => None,
        dice => Some(BestValidation { mean_dice: dice.parse().ok()?, step: words.next()?.parse().ok()? }),
    };
    Some(TrainProgress { step, best, validation_pending, ranks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_parsed_as_it_is_written() {
        let best = Some(BestValidation { mean_dice: 0.5, step: 4 });
        let with =
            |best, validation_pending| Some(TrainProgress { step: 7, best, validation_pending, ranks: 1 });
        assert_eq!(parse_progress("7 none"), with(None, false));
        assert_eq!(parse_progress("7 0.5 4"), with(best, false));
        assert_eq!(parse_progress("7 none validation-pending"), with(None, true));
        assert_eq!(parse_progress("7 0.5 4 validation-pending"), with(best, true));
        let of_four = TrainProgress { step: 7, best, validation_pending: true, ranks: 4 };
        assert_eq!(parse_progress("7 0.5 4 validation-pending ranks 4"), Some(of_four));
        for text in ["7 none ranks", "", "x 0.5 4", "7", "7 0.5", "7 x 4"] {
            assert_eq!(parse_progress(text), None, "{text}");
        }
    }
}
