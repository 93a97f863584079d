//! Weights of another run as the start of a new one with other data sets, classes or prompts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bipvl_infer::TrainedModel;
use bipvl_nn::{
    TextConfig,
    init::Initializer,
    prompts::PromptSeg,
    weights::{StateDict, TensorHandle, load_state_dict_partial, save, state_dict, state_dict_handles},
};
use bipvl_text::Tokenizer;
use burn::tensor::Device;

use super::{PromptRun, network_weights};
use crate::Result;

/// The weights that a run starts from.
const INITIAL: &str = "initial.safetensors";

/// A finished run of either form to start from.
#[derive(Debug)]
pub struct Transfer {
    /// Its directory.
    pub dir: PathBuf,
    pub(super) tokenizer: Tokenizer,
    pub(super) text: TextConfig,
    weights: StateDict,
}

/// What a new run took over from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferReport {
    /// Blocks of which all tensors were taken over.
    pub taken: Vec<String>,
    /// Blocks with tensors of other names or sizes, which start from random weights, with their number.
    pub random: Vec<(String, usize)>,
}

impl Transfer {
    /// Opens a run with its best weights.
    ///
    /// # Errors
    ///
    /// When it is no run, or has no best weights.
    pub fn open(dir: &Path) -> Result<Self> {
        let (best, tokenizer, text) = if PromptRun::exists_in(dir) {
            let run = PromptRun::open(dir)?;
            (run.best_checkpoint(), run.tokenizer, run.config.model.text)
        } else {
            let run = TrainedModel::open(dir)?;
            (run.best_checkpoint(), run.tokenizer().clone(), run.config.model.text)
        };
        if !best.exists() {
            return Err(bipvl_infer::Error::NoBestWeights { path: best }.into());
        }
        Ok(Self { dir: dir.to_owned(), tokenizer, text, weights: network_weights(&best)? })
    }
}

impl PromptRun {
    /// Stores the weights of another run that fit as those that the training starts from.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn take_over(&self, from: &Transfer) -> Result<TransferReport> {
        let seed = self.config.train.seed;
        let model = PromptSeg::new(&mut Initializer::new(seed, &Device::flex()), &self.config.model);
        // Tensors of each block that do not fit.
        let mut blocks: BTreeMap<String, usize> = BTreeMap::new();
        let mut fitting = StateDict::new();
        for (name, tensor) in state_dict(&model) {
            let random = blocks.entry(block(&name)).or_default();
            match from.weights.get(&name).filter(|found| found.shape == tensor.shape) {
                Some(found) => {
                    fitting.insert(name, found.clone());
                }
                None => *random += 1,
            }
        }
        let (taken, random): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|(_, random)| *random == 0);
        let report = TransferReport { taken: taken.into_iter().map(|(block, _)| block).collect(), random };
        let path = self.path(INITIAL);
        let model = load_state_dict_partial(model, fitting, &from.dir)?;
        let tensors: BTreeMap<String, TensorHandle> = state_dict_handles(&model).into_iter().collect();
        save(&path, &tensors, &[])?;
        Ok(report)
    }

    /// The weights of [`Self::take_over`], where there are any.
    pub(super) fn transferred_weights(&self) -> Result<Option<(PathBuf, StateDict)>> {
        let path = self.path(INITIAL);
        if self.last_checkpoint().exists() || !path.exists() {
            return Ok(None);
        }
        let (weights, _) = bipvl_nn::weights::load(&path)?;
        Ok(Some((path, weights)))
    }
}

/// `backbone.encoder.stages.0.…` → `backbone.encoder`
fn block(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let depth = if parts[0] == "backbone" || parts[0] == "head" { 2 } else { 1 };
    parts[..depth.min(parts.len())].join(".")
}
