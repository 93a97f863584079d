//! The configuration of a prompted run: data sets, network, training, inference.

use std::path::PathBuf;

use bipvl_data::{Modality, PreprocessConfig};
use bipvl_infer::InferConfig;
use bipvl_nn::BiPvlSegConfig;
use bipvl_train::TrainConfig;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::sampler::PromptSampling;

/// Everything that a prompted run depends on besides the cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// The model size that gave the defaults.
    pub model_size: String,
    /// The data sets.
    pub data: SetsConfig,
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// Training hyper-parameters.
    pub train: TrainConfig,
    /// How prompts are drawn.
    pub prompts: PromptSampling,
    /// Sliding-window inference.
    pub infer: InferConfig,
}

/// The data sets of a prompted run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetsConfig {
    /// Validation fold of every set, `K/N`.
    pub fold: String,
    /// Wholes and their parts beside those that are built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PathBuf>,
    /// One table per data set.
    pub set: Vec<SetConfig>,
}

/// One data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetConfig {
    /// How it is called in logs and tables.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// Descriptions of its classes; without them prompts are names alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptions: Option<PathBuf>,
    /// CT or MR, for a folder that holds both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modality: Option<Modality>,
    /// What its classes are called in words, where the names of the folder do not say it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rename: IndexMap<String, String>,
    /// Concepts of other sets that this set is declared not to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Classes that this set does not label exhaustively: no loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// How its cases are preprocessed.
    pub preprocess: PreprocessConfig,
}
