//! The configuration of a prompted run: data sets, network, training, inference.

mod file;
mod validate;

use std::path::PathBuf;

use bipvl_data::{Modality, PreprocessConfig, SplitConfig};
use bipvl_infer::InferConfig;
use bipvl_nn::BiPvlSegConfig;
use bipvl_train::{TrainConfig, config::PretrainedPaths};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::sampler::PromptSampling;

pub use bipvl_infer::has_prompts_head;
pub use file::ConfigFile;

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
    /// Training hyperparameters.
    pub train: TrainConfig,
    /// How prompts are drawn.
    pub prompts: PromptSampling,
    /// How the text encoder is trained.
    #[serde(default)]
    pub text: TextTraining,
    /// Sliding-window inference.
    pub infer: InferConfig,
    /// Pretrained weights.
    #[serde(default, skip_serializing_if = "PretrainedPaths::is_empty")]
    pub pretrained: PretrainedPaths,
}

impl PromptConfig {
    /// The keys whose values differ, but for what the creation of a run fills in: sizes of a pretrained text encoder, and
    /// names of held-out concepts.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let table = |config: &Self| {
            let mut config = config.clone();
            config.prompts.held_out.clear();
            config.model.text.clone_from(&self.model.text);
            Table::try_from(config).expect("every value has a TOML form")
        };
        let mut keys = Vec::new();
        differences("", &table(self).into(), &table(other).into(), &mut keys);
        keys
    }

    /// The seed of the code book that replaces all texts, in a control.
    pub fn code_book(&self) -> Option<u64> {
        self.prompts.code_book.then_some(self.train.seed)
    }
}

/// Adds the dotted keys below `key` whose values differ.
fn differences(key: &str, one: &Value, other: &Value, keys: &mut Vec<String>) {
    let (Value::Table(first), Value::Table(second)) = (one, other) else {
        if one != other {
            keys.push(key.to_owned());
        }
        return;
    };
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    for (name, value) in first {
        match second.get(name) {
            Some(other) => differences(&below(name), value, other, keys),
            None => keys.push(below(name)),
        }
    }
    keys.extend(second.keys().filter(|name| !first.contains_key(*name)).map(|name| below(name)));
}

/// How the text encoder is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextTraining {
    /// Whether embeddings and first stage are frozen; their output is then computed once per text.
    pub freeze_first_stage: bool,
    /// The learning rate of the text encoder relative to that of all else.
    pub learning_rate_factor: f64,
}

impl Default for TextTraining {
    /// For an encoder that is trained from random weights.
    fn default() -> Self {
        Self { freeze_first_stage: false, learning_rate_factor: 1.0 }
    }
}

impl TextTraining {
    /// For published weights: a frozen first stage, the others at a tenth of the rate.
    pub fn pretrained() -> Self {
        Self { freeze_first_stage: true, learning_rate_factor: 0.1 }
    }
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
    /// The channel to use of a set that has several: a prompted network has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What its classes are called in words, where the names of the folder do not say it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rename: IndexMap<String, String>,
    /// Concepts of other sets that this set is declared not to show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Classes that this set does not label exhaustively: no loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// What `labelled.json` means.
    #[serde(default)]
    pub partial_labels: PartialLabels,
    /// Validation and test cases, where a fold is not what is wanted.
    #[serde(default)]
    pub split: SplitConfig,
    /// How its cases are preprocessed.
    pub preprocess: PreprocessConfig,
}

/// What is made of a class that was not contoured in a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialLabels {
    /// It is unknown in this case and has no loss.
    #[default]
    Unknown,
    /// It is taken for absent, as a training without partial labels does: a control.
    Background,
    /// The case is left out of the training: a control.
    Exclude,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_keys_are_named_wherever_they_are() {
        let [one, other] =
            ["a = 1\nb = { c = 2, d = 3, e = 4 }", "a = 1\nb = { c = 5, d = 3, f = 6 }"].map(|text| {
                let table: Table = toml::from_str(text).unwrap();
                Value::Table(table)
            });
        let mut keys = Vec::new();
        differences("", &one, &other, &mut keys);
        assert_eq!(keys, ["b.c", "b.e", "b.f"]);
    }
}
