//! The configuration of a run: the defaults of a model size, with a user's file on top.

mod validate;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Error, Result};
use crate::{TrainConfig, memory::MemoryPlan};
use bipvl_data::{Dataset, DatasetOverrides, LabelSchema, LabelSchemaSpec, PreprocessConfig, SplitConfig};
pub use bipvl_infer::DataConfig;
use bipvl_infer::{InferConfig, ModelConfig};
use bipvl_nn::{
    BiPvlSegConfig, MODEL_SIZES, ModelSize,
    interop::{PretrainedConfig, PretrainedWeights},
};

/// Seed of all splits, independent of `train.seed`, so that runs of different seeds have the same cases.
pub const SPLIT_SEED: u64 = 0;

/// The configuration of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Model size that gave the defaults, see [`ModelSize`].
    pub model_size: String,
    /// Training data.
    pub data: DataConfig,
    /// Preprocessing.
    pub preprocess: PreprocessConfig,
    /// Architecture.
    pub model: BiPvlSegConfig,
    /// Training hyperparameters.
    pub train: TrainConfig,
    /// Inference.
    pub infer: InferConfig,
    /// Pretrained weights.
    #[serde(default, skip_serializing_if = "PretrainedPaths::is_empty")]
    pub pretrained: PretrainedPaths,
}

/// Pretrained weights to initialize a training from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainedPaths {
    /// Hugging Face directory of a BERT, for the text encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<PathBuf>,
    /// Imported weights for image encoder and decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<PathBuf>,
}

impl PretrainedPaths {
    /// Reads the weights. A logit layer that does not have `out_channels` is dropped with a warning.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or has the weights of another network.
    pub fn load(&self, out_channels: usize) -> Result<Vec<PretrainedWeights>> {
        let mut all = Vec::new();
        if let Some(dir) = &self.text_encoder {
            all.push(PretrainedWeights::from_bert(dir)?.0);
        }
        if let Some(path) = &self.backbone {
            let mut weights = PretrainedWeights::load(path)?;
            if matches!(weights.config, PretrainedConfig::Text(_)) {
                let (found, expected) = ("text encoder", "vision backbone");
                return Err(Error::WrongPretrainedWeights { path: path.clone(), found, expected });
            }
            if weights.drop_mismatched_head(out_channels) {
                tracing::warn!(
                    "{}: the logit layer does not have {out_channels} channels and is initialized randomly",
                    path.display()
                );
            }
            all.push(weights);
        }
        Ok(all)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    /// The defaults of a model size for a data set.
    pub fn new(size: ModelSize, dataset: &Dataset) -> Self {
        Self {
            model_size: size.to_string(),
            data: DataConfig {
                name: dataset.name.clone(),
                fold: "0/5".to_owned(),
                modality: dataset.modality,
                channels: dataset.channels.clone(),
                label_schema: dataset.label_schema.clone(),
                split: SplitConfig::default(),
                source_schema: overridden_schema(&dataset.label_schema, dataset),
            },
            preprocess: PreprocessConfig::for_modality(dataset.modality, size.patch()),
            model: size.config(dataset.channels.len()),
            train: TrainConfig::defaults(size),
            infer: InferConfig::default(),
            pretrained: PretrainedPaths::default(),
        }
    }

    /// Reads a user's file: its values replace the defaults of its `model_size` (`tiny` if there is none).
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has unknown keys, or a value is invalid.
    pub fn from_file(path: &Path, dataset: &Dataset) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| Error::io(path, reason))?;
        Self::from_toml(&text, path, dataset)
    }

    /// [`Config::from_file`] with the text of the file; errors name `path`.
    ///
    /// # Errors
    ///
    /// When there are unknown keys, or a value is invalid.
    pub fn from_toml(text: &str, path: &Path, dataset: &Dataset) -> Result<Self> {
        let invalid = |error| syntax_error(&error, text, path);
        let mut user: Table = toml::from_str(text).map_err(invalid)?;
        let name = user.get("model_size").and_then(Value::as_str).unwrap_or("tiny");
        let size = name.parse().map_err(|_: String| {
            let requirement = format!("one of {}", MODEL_SIZES.join(", "));
            bipvl_infer::Error::config_value(path, "model_size", format!("\"{name}\""), requirement)
        })?;
        let mut defaults = Self::new(size, dataset);
        if let Some(spec) = take_label_schema(&mut user).map_err(invalid)? {
            let resolved = spec.resolve(&dataset.source_schema);
            let schema = resolved.map_err(bipvl_data::Error::label_schema(path))?;
            defaults.data.source_schema = overridden_schema(&schema, dataset);
            defaults.data.label_schema = schema;
        }
        let defaults = Table::try_from(defaults).expect("the defaults are valid TOML");
        let config: Self = Value::Table(merge_tables(defaults, user)).try_into().map_err(invalid)?;
        config.validate(path)?;
        Ok(config)
    }

    /// The `data` part of a user's file, which is needed to read the data set; errors name `path`.
    ///
    /// # Errors
    ///
    /// When the text is not TOML, or a value of that part is invalid.
    pub fn dataset_overrides(text: &str, path: &Path) -> Result<DatasetOverrides> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct User {
            data: DatasetOverrides,
        }
        let user: User = toml::from_str(text).map_err(|error| syntax_error(&error, text, path))?;
        let regions = &user.data.label_schema.regions;
        if !regions.is_empty() {
            // Their consistency alone; the labels are validated with the data set.
            let about = bipvl_data::Error::label_schema(path);
            LabelSchema::overlapping(regions.clone()).map_err(about)?;
        }
        Ok(user.data)
    }

    /// Reads the `config.toml` of a run.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a key is missing or unknown, or a value is invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| Error::io(path, reason))?;
        let config: Self = toml::from_str(&text).map_err(|error| syntax_error(&error, &text, path))?;
        config.validate(path)?;
        Ok(config)
    }

    /// What determines the memory of a training step, and can be reduced.
    pub fn memory_plan(&self) -> MemoryPlan {
        let TrainConfig { batch_size, gradient_accumulation_steps, activation_checkpointing, .. } =
            self.train;
        MemoryPlan {
            patch_size: self.preprocess.patch_size,
            batch_size,
            gradient_accumulation_steps,
            activation_checkpointing,
        }
    }

    /// Sets the values of a plan.
    #[must_use]
    pub fn with_memory_plan(mut self, plan: MemoryPlan) -> Self {
        let MemoryPlan { patch_size, batch_size, gradient_accumulation_steps, activation_checkpointing } =
            plan;
        self.preprocess.patch_size = patch_size;
        self.train =
            TrainConfig { batch_size, gradient_accumulation_steps, activation_checkpointing, ..self.train };
        self
    }

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every value has a TOML form")
    }

    /// The part that prediction needs; the training part is opaque there.
    pub fn model_config(&self) -> ModelConfig {
        ModelConfig {
            model_size: self.model_size.clone(),
            data: self.data.clone(),
            preprocess: self.preprocess.clone(),
            model: self.model.clone(),
            infer: self.infer,
            train: Table::try_from(&self.train).expect("every value has a TOML form"),
        }
    }
}

/// The classes that the data set defines, if a configuration overrides them.
fn overridden_schema(schema: &LabelSchema, dataset: &Dataset) -> Option<LabelSchema> {
    (*schema != dataset.source_schema).then(|| dataset.source_schema.clone())
}

/// Removes the label schema from a user's configuration.
fn take_label_schema(user: &mut Table) -> std::result::Result<Option<LabelSchemaSpec>, toml::de::Error> {
    let data = user.get_mut("data").and_then(Value::as_table_mut);
    data.and_then(|data| data.remove("label_schema")).map(Value::try_into).transpose()
}

fn syntax_error(error: &toml::de::Error, text: &str, path: &Path) -> Error {
    bipvl_infer::Error::config_syntax(path, error, text).into()
}

/// Merges `user` into `defaults`, table by table; the intensity normalization, an enum, is replaced as a whole.
pub fn merge_tables(mut defaults: Table, user: Table) -> Table {
    for (key, value) in user {
        match (defaults.remove(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if key != "intensity" => {
                defaults.insert(key, Value::Table(merge_tables(old, new)));
            }
            (_, new) => {
                defaults.insert(key, new);
            }
        }
    }
    defaults
}
