//! The run directory of a prompted training: what it writes, and what it is resumed and predicted from.
//!
//! `config.toml`, `vocabulary.json` (concepts, their wordings, what each data set says of them), `tokenizer.json`,
//! `split.json` (cases by data set), `last.safetensors`, `best.safetensors`, `cache/SET/`.

mod create;
mod setup;
mod transfer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_data::PreprocessConfig;
use bipvl_infer::weights_file::NETWORK_PREFIX;
use bipvl_nn::{
    init::Initializer,
    prompts::PromptSeg,
    weights::{self, StateDict, load_state_dict},
};
use bipvl_text::Tokenizer;
use bipvl_train::Start;
use burn::tensor::Device;

use crate::{Error, PromptPredictor, Result, Vocabulary, config::PromptConfig, config::has_prompts_head};

pub use create::PromptRunSpec;
pub use transfer::{Transfer, TransferReport};

const CONFIG: &str = "config.toml";
const VOCABULARY: &str = "vocabulary.json";
/// A pretrained logit layer is never used.
const NO_LOGITS: usize = 0;
const SPLIT: &str = "split.json";

/// A run directory.
#[derive(Clone, Debug)]
pub struct PromptRun {
    /// The directory.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: PromptConfig,
    /// All concepts.
    pub vocabulary: Vocabulary,
    /// Cuts prompts into tokens.
    pub tokenizer: Tokenizer,
}

impl PromptRun {
    /// Whether a directory has a run with `model.head = "prompts"`.
    pub fn exists_in(dir: &Path) -> bool {
        fs::read_to_string(dir.join(CONFIG)).is_ok_and(|text| has_prompts_head(&text))
    }

    /// Opens a run.
    ///
    /// # Errors
    ///
    /// When one of its files is missing or invalid.
    pub fn open(dir: &Path) -> Result<Self> {
        let config = PromptConfig::read(&dir.join(CONFIG))?;
        let path = dir.join(VOCABULARY);
        let text = fs::read_to_string(&path).map_err(|reason| Error::io(&path, reason))?;
        let vocabulary = serde_json::from_str(&text)
            .map_err(|error| Error::InvalidRunFile { path, reason: error.to_string() })?;
        let tokenizer = Tokenizer::from_folder(dir)?;
        Ok(Self::from_parts(dir, config, vocabulary, tokenizer))
    }

    fn from_parts(dir: &Path, config: PromptConfig, vocabulary: Vocabulary, tokenizer: Tokenizer) -> Self {
        let tokenizer = tokenizer.with_max_tokens(config.model.text.max_position_embeddings);
        Self { dir: dir.to_owned(), config, vocabulary, tokenizer }
    }

    /// A file or subdirectory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The checkpoint to resume from.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path("last.safetensors")
    }

    /// The weights of the best validation.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.path("best.safetensors")
    }

    /// From the last checkpoint where there is one.
    pub fn start(&self) -> Start {
        if self.last_checkpoint().exists() { Start::Resume } else { Start::Fresh }
    }

    /// The names of all that the run was trained on, without wholes.
    pub fn default_prompts(&self) -> Vec<String> {
        let concepts = self.vocabulary.concepts.iter().filter(|concept| concept.parts.is_empty());
        concepts.map(|concept| concept.name.clone()).collect()
    }

    /// The preprocessing of a data set of the training, or without a name the only one there is.
    ///
    /// # Errors
    ///
    /// When there is no such data set, or none is named and they differ.
    pub fn preprocess_like(&self, name: Option<&str>) -> Result<&PreprocessConfig> {
        let sets = &self.config.data.set;
        let names = || sets.iter().map(|set| set.name.clone()).collect();
        match name {
            Some(name) => match sets.iter().find(|set| set.name == *name) {
                Some(set) => Ok(&set.preprocess),
                None => Err(Error::UnknownDataset { name: name.to_owned(), names: names() }),
            },
            None if sets.iter().all(|set| set.preprocess == sets[0].preprocess) => Ok(&sets[0].preprocess),
            None => Err(Error::AmbiguousPreprocessing { names: names() }),
        }
    }

    /// The network with the best weights.
    ///
    /// # Errors
    ///
    /// When there are no best weights yet, or they cannot be read.
    pub fn network(&self, device: &Device) -> Result<PromptSeg> {
        let path = self.best_checkpoint();
        if !path.exists() {
            return Err(bipvl_infer::Error::NoBestWeights { path }.into());
        }
        let model = PromptSeg::new(&mut Initializer::zeros(device), &self.config.model);
        Ok(load_state_dict(model, network_weights(&path)?, &path)?)
    }

    /// A predictor with the best weights.
    ///
    /// # Errors
    ///
    /// When there are no best weights yet, or they cannot be read.
    pub fn predictor(&self, device: &Device) -> Result<PromptPredictor> {
        let model = self.network(device)?;
        let infer = &self.config.infer;
        let patch = self.config.patch_size();
        let tokenizer = self.tokenizer.clone();
        let predictor =
            PromptPredictor::new(model, tokenizer, patch, infer.overlap, infer.blend_mode, device);
        Ok(match self.config.code_book() {
            Some(seed) => predictor.with_code_book(seed),
            None => predictor,
        })
    }
}

/// The tensors of the network in a file of weights or a checkpoint.
fn network_weights(path: &Path) -> Result<StateDict> {
    let (tensors, _) = weights::load(path)?;
    let of_network =
        |(name, tensor): (String, _)| Some((name.strip_prefix(NETWORK_PREFIX)?.to_owned(), tensor));
    Ok(tensors.into_iter().filter_map(of_network).collect())
}
