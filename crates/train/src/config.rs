//! The whole run, composed of each room's own configuration: defaults, a user's file over them.

mod validate;

use std::{fs, path::Path};

use bipvl_metrics::ClassLabels;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{Error, Result};
use crate::{
    TrainConfig, activation_checkpointing::ActivationCheckpointing, loss::LossConfig, memory::MemoryPlan,
    optimizer::AdamWConfig,
};
use bipvl_data::{
    AugmentConfig, Dataset, DatasetOverrides, LabelSchema, LabelSchemaSpec, Modality, PreprocessConfig,
    SplitConfig,
};
use bipvl_infer::InferConfig;
use bipvl_nn::{BiPvlSegConfig, HeadConfig, MODEL_SIZES, ModelSize};

/// Folds are drawn from this, whatever the seed of a run: runs of other seeds are compared on equal cases.
pub const SPLIT_SEED: u64 = 0;

/// Everything that a run depends on besides the cases and the descriptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Model size that gave the defaults, see [`ModelSize`].
    pub model_size: String,
    /// What the cases are.
    pub data: DataConfig,
    /// How cases are prepared.
    pub preprocess: PreprocessConfig,
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// How the weights are found.
    pub train: TrainConfig,
    /// How volumes are covered.
    pub infer: InferConfig,
}

/// What the cases of a data set are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set's name.
    pub name: String,
    /// Which fold validates, `K/N`.
    pub fold: String,
    /// What the volumes were taken with.
    pub modality: Modality,
    /// Channel names in order.
    pub channels: Vec<String>,
    /// Classes, their labels, and how they are predicted.
    pub label_schema: LabelSchema,
    /// Validation and test cases.
    #[serde(default)]
    pub split: SplitConfig,
    /// The classes as the data set defined them when the run was created, if the configuration has others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_schema: Option<LabelSchema>,
}

impl DataConfig {
    /// The overrides with which the data set is read again.
    pub fn dataset_overrides(&self) -> DatasetOverrides {
        let labels = self.label_schema.is_overlapping().then(|| self.label_schema.labels().to_vec());
        let label_schema = LabelSchemaSpec { labels, ..self.label_schema.clone().into() };
        DatasetOverrides { modality: Some(self.modality), label_schema }
    }

    /// The classes to score.
    pub fn class_labels(&self) -> Vec<ClassLabels> {
        let classes = self.label_schema.classes().iter();
        classes.map(|class| ClassLabels { name: class.name.clone(), labels: class.labels.clone() }).collect()
    }

    /// The number of channels that a network needs for the classes.
    pub fn head_config(&self) -> HeadConfig {
        let schema = &self.label_schema;
        HeadConfig { num_classes: schema.num_classes(), out_channels: schema.num_logit_channels() }
    }
}

impl Config {
    /// Defaults of a model size for a data set.
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
                source_schema: overridden(&dataset.label_schema, dataset),
            },
            preprocess: PreprocessConfig::for_modality(dataset.modality, size.patch()),
            model: size.config(dataset.channels.len()),
            train: train_defaults(size),
            infer: InferConfig::default(),
        }
    }

    /// The defaults of the model size that a user's file names (`tiny` when it names none), with the file's own
    /// values over them. Regions that the file lists are the classes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has unknown keys, or its values do not fit together.
    pub fn from_user_file(path: &Path, dataset: &Dataset) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::from_user_text(&text, path, dataset)
    }

    /// [`Config::from_user_file`] of a text, which `path` names in messages.
    ///
    /// # Errors
    ///
    /// When it has unknown keys, or its values do not fit together.
    pub fn from_user_text(text: &str, path: &Path, dataset: &Dataset) -> Result<Self> {
        let invalid = |error| Error::content(path, "a configuration", what_is_wrong(&error, text));
        let mut user: Table = toml::from_str(text).map_err(invalid)?;
        let name = user.get("model_size").and_then(Value::as_str).unwrap_or("tiny");
        let size = name.parse().map_err(|_: String| {
            Error::content(path, format!("a model_size of {}", MODEL_SIZES.join(", ")), format!("\"{name}\""))
        })?;
        let mut defaults = Self::new(size, dataset);
        if let Some(schema) = label_schema(&mut user).map_err(invalid)? {
            let resolved = schema.resolve(&dataset.source_schema);
            let schema = resolved.map_err(bipvl_data::Error::label_schema(path))?;
            defaults.data.source_schema = overridden(&schema, dataset);
            defaults.data.label_schema = schema;
        }
        let defaults = Table::try_from(defaults).expect("the defaults are valid TOML");
        let config: Self = Value::Table(merge(defaults, user)).try_into().map_err(invalid)?;
        config.check(path)?;
        Ok(config)
    }

    /// What a user's configuration says of its data set, which is read before the rest makes sense.
    ///
    /// # Errors
    ///
    /// When the text is no TOML, or says something else where it speaks of the data; `path` names it.
    pub fn dataset_overrides(text: &str, path: &Path) -> Result<DatasetOverrides> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct User {
            data: DatasetOverrides,
        }
        let user: User = toml::from_str(text)
            .map_err(|error| Error::content(path, "a configuration", what_is_wrong(&error, text)))?;
        Ok(user.data)
    }

    /// Reads the configuration of a run.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        let config: Self = toml::from_str(&text).map_err(|error| {
            Error::content(path, "the configuration of a run", what_is_wrong(&error, &text))
        })?;
        config.check(path)?;
        Ok(config)
    }

    /// What the training can change to need less memory.
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

    /// The same with another plan.
    #[must_use]
    pub fn with_memory_plan(mut self, plan: MemoryPlan) -> Self {
        let MemoryPlan { patch_size, batch_size, gradient_accumulation_steps, activation_checkpointing } =
            plan;
        self.preprocess.patch_size = patch_size;
        self.train =
            TrainConfig { batch_size, gradient_accumulation_steps, activation_checkpointing, ..self.train };
        self
    }

    /// The configuration as a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every value has a TOML form")
    }

    /// Which fold of how many validates.
    ///
    /// # Errors
    ///
    /// When `data.fold` is not `K/N` with K below N and N at least 2; `path` is named.
    pub fn fold(&self, path: &Path) -> Result<(usize, usize)> {
        let parts = self.data.fold.split_once('/');
        let parsed = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        parsed.filter(|(k, n)| k < n && *n >= 2).ok_or_else(|| {
            Error::content(path, "a fold K/N such as 0/5, K below N", format!("\"{}\"", self.data.fold))
        })
    }
}

/// The classes that the data set defines, if a configuration overrides them.
fn overridden(schema: &LabelSchema, dataset: &Dataset) -> Option<LabelSchema> {
    (*schema != dataset.source_schema).then(|| dataset.source_schema.clone())
}

/// Takes the label schema out of a user's configuration.
fn label_schema(user: &mut Table) -> std::result::Result<Option<LabelSchemaSpec>, toml::de::Error> {
    let data = user.get_mut("data").and_then(Value::as_table_mut);
    data.and_then(|data| data.remove("label_schema")).map(Value::try_into).transpose()
}

/// The paper's values for `paper`; for the smaller networks, which learn in minutes, a higher rate.
fn train_defaults(size: ModelSize) -> TrainConfig {
    let (max_steps, batch_size, learning_rate) = match size {
        ModelSize::Paper => (54_000, 1, 1e-4),
        ModelSize::Small => (10_000, 1, 5e-4),
        ModelSize::Tiny => (3_000, 2, 1e-3),
    };
    let max_grad_norm = if size == ModelSize::Paper { 0.0 } else { 1.0 };
    TrainConfig {
        seed: 42,
        max_steps,
        batch_size,
        gradient_accumulation_steps: 1,
        learning_rate,
        warmup_steps: if size == ModelSize::Paper { 0 } else { 100 },
        val_every_n_steps: (max_steps / 10).max(1),
        patience: 0,
        activation_checkpointing: ActivationCheckpointing::default(),
        checkpoint_every_n_steps: (max_steps / 30).max(1),
        oversample_foreground: 0.5,
        optimizer: AdamWConfig { max_grad_norm, ..AdamWConfig::default() },
        loss: LossConfig::default(),
        augment: AugmentConfig::default(),
    }
}

/// An error of the parser in one line: where, and what.
fn what_is_wrong(error: &toml::de::Error, text: &str) -> String {
    match error.span() {
        Some(span) => {
            let line = 1 + text[..span.start].matches('\n').count();
            format!("in line {line}: {}", error.message().replace('\n', ", "))
        }
        // The values were merged with the defaults and have lost their line; the parser names the key.
        None => error.to_string().trim().replace('\n', " "),
    }
}

/// Values of `user` over those of `defaults`, table by table; the intensity normalization, an enum, is replaced as a whole.
fn merge(mut defaults: Table, user: Table) -> Table {
    for (key, value) in user {
        match (defaults.remove(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if key != "intensity" => {
                defaults.insert(key, Value::Table(merge(old, new)));
            }
            (_, new) => {
                defaults.insert(key, new);
            }
        }
    }
    defaults
}
