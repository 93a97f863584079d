//! The whole run, composed of each room's own configuration: defaults, a user's file over them, checks.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{
    data::{AugmentConfig, Dataset, FolderClasses, Modality, Recipe, Relabel, SplitConfig, Wanted},
    error::{Error, Result},
    infer::{InferConfig, Mirror, twins},
    model::{BiPvlSegConfig, Bottleneck, PATCH_MULTIPLE, PRESETS, Preset, STAGES, bifusion::Exchange},
    train::{TrainConfig, loss::LossConfig, memory::Plan, optimizer::AdamWConfig, recompute::Recompute},
};

/// Folds are drawn from this, whatever the seed of a run: runs of other seeds are compared on equal cases.
pub const SPLIT_SEED: u64 = 0;

/// Everything that a run depends on besides the cases and the descriptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The preset that gave the defaults.
    pub preset: String,
    /// What the cases are.
    pub data: DataConfig,
    /// How cases are prepared.
    pub preprocess: Recipe,
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
    /// Class names in the order of their labels.
    pub classes: Vec<String>,
    /// The label of each class in files.
    pub labels: Vec<u16>,
    /// Labels in files that count as others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relabel: Vec<Relabel>,
    /// Which cases are put aside.
    #[serde(default)]
    pub split: SplitConfig,
    /// The classes as the folder had them when the run began, where the configuration has others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_classes: Option<FolderClasses>,
}

impl DataConfig {
    /// How to read the folder again.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            modality: Some(self.modality),
            classes: Some(self.classes.clone()),
            labels: Some(self.labels.clone()),
            relabel: self.relabel.clone(),
        }
    }
}

impl Config {
    /// The defaults of a preset for a data set.
    pub fn new(preset: Preset, dataset: &Dataset) -> Self {
        Self {
            preset: preset.to_string(),
            data: DataConfig {
                name: dataset.name.clone(),
                fold: "0/5".to_owned(),
                modality: dataset.modality,
                channels: dataset.channels.clone(),
                classes: dataset.classes.clone(),
                labels: dataset.labels.clone(),
                relabel: dataset.relabel.clone(),
                split: SplitConfig::default(),
                folder_classes: renamed(dataset),
            },
            preprocess: Recipe::for_modality(dataset.modality, preset.patch()),
            model: preset.config(dataset.channels.len()),
            train: train_defaults(preset),
            infer: InferConfig::default(),
        }
    }

    /// The defaults of the preset that a user's file names (`tiny` when it names none), with the file's own
    /// values over them.
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
        let user: Table = toml::from_str(text).map_err(invalid)?;
        let name = user.get("preset").and_then(Value::as_str).unwrap_or("tiny");
        let preset = name.parse().map_err(|_: String| {
            Error::content(path, format!("a preset of {}", PRESETS.join(", ")), format!("\"{name}\""))
        })?;
        let defaults = Table::try_from(Self::new(preset, dataset)).expect("the defaults are valid TOML");
        let merged = merge(defaults, user);
        let config: Self = Value::Table(merged).try_into().map_err(invalid)?;
        config.check(path)?;
        Ok(config)
    }

    /// What a user's configuration says of its data set, which is read before the rest makes sense.
    ///
    /// # Errors
    ///
    /// When the text is no TOML, or says something else where it speaks of the data; `path` names it.
    pub fn wanted(text: &str, path: &Path) -> Result<Wanted> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct User {
            data: Wanted,
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
    pub fn memory_plan(&self) -> Plan {
        let TrainConfig { batch, accumulate, recompute, .. } = self.train;
        Plan { patch: self.preprocess.patch, batch, accumulate, recompute }
    }

    /// The same with another plan.
    #[must_use]
    pub fn with_memory_plan(mut self, plan: Plan) -> Self {
        let Plan { patch, batch, accumulate, recompute } = plan;
        self.preprocess.patch = patch;
        self.train = TrainConfig { batch, accumulate, recompute, ..self.train };
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

    /// Whether the values fit together.
    ///
    /// # Errors
    ///
    /// When they do not; `path` is named.
    pub fn check(&self, path: &Path) -> Result<()> {
        let refuse = |expected: String, found: String| Err(Error::content(path, expected, found));
        self.fold(path)?;
        self.preprocess.check(path)?;
        self.train.augment.check(path)?;
        if !(0.0..=1.0).contains(&self.train.foreground_share) {
            let found = self.train.foreground_share.to_string();
            return refuse("train.foreground_share from 0 to 1".into(), found);
        }
        let patch = self.preprocess.patch;
        if patch.iter().any(|side| *side == 0 || !side.is_multiple_of(PATCH_MULTIPLE)) {
            return refuse("preprocess.patch in multiples of 32".into(), format!("{patch:?}"));
        }
        if !(0.0..1.0).contains(&self.infer.overlap) {
            return refuse("infer.overlap of at least 0 and below 1".into(), self.infer.overlap.to_string());
        }
        self.check_mirror(self.infer.mirror, path)?;
        self.check_sizes(path)?;
        self.check_heads(path)?;
        self.check_learning(path)
    }

    /// Whether every size is at least 1 and the channels are those of the data.
    fn check_sizes(&self, path: &Path) -> Result<()> {
        let BiPvlSegConfig { vision, text, fusion, shared_size, .. } = &self.model;
        let sizes = [
            ("model.vision.feature_size", vision.feature_size),
            ("model.vision.attention_window", vision.attention_window),
            ("model.text.hidden_size", text.hidden_size),
            ("model.text.intermediate_size", text.intermediate_size),
            ("model.text.max_position_embeddings", text.max_position_embeddings),
            ("model.fusion.mlp_size", fusion.mlp_size),
            ("model.shared_size", *shared_size),
            ("train.steps", self.train.steps),
            ("train.batch", self.train.batch),
            ("train.accumulate", self.train.accumulate),
            ("train.validate_every", self.train.validate_every),
            ("train.checkpoint_every", self.train.checkpoint_every),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::content(path, format!("{name} of at least 1"), "0"));
        }
        if self.model.supervised_scales > STAGES {
            let expected = format!("model.supervised_scales from 0 to {STAGES}");
            return Err(Error::content(path, expected, self.model.supervised_scales.to_string()));
        }
        if vision.channels != self.data.channels.len() {
            let expected = format!("model.vision.channels of {}", self.data.channels.len());
            return Err(Error::content(path, expected, vision.channels.to_string()));
        }
        Ok(())
    }

    /// Whether a prediction may be mirrored so: along x not where it would turn a class into its twin on the
    /// other side, unless the training mirrored too and told no sides apart.
    ///
    /// # Errors
    ///
    /// When it may not; `path` is named.
    pub fn check_mirror(&self, mirror: Mirror, path: &Path) -> Result<()> {
        match twins(&self.data.classes) {
            Some([one, other]) if mirror.has(0) && self.train.augment.flip_probability[0] == 0.0 => {
                let expected = format!(
                    "no mirroring along x, which turns \"{one}\" into \"{other}\"; y and z may be mirrored"
                );
                Err(Error::content(path, expected, format!("\"{mirror}\"")))
            }
            _ => Ok(()),
        }
    }

    /// Whether attention heads divide the channels they share.
    fn check_heads(&self, path: &Path) -> Result<()> {
        let BiPvlSegConfig { vision, text, fusion, .. } = &self.model;
        let check = |name: &str, heads: usize, channels: usize| {
            if heads > 0 && channels.is_multiple_of(heads) {
                return Ok(());
            }
            Err(Error::content(path, format!("{name} that divide {channels}"), heads.to_string()))
        };
        for (stage, heads) in vision.heads.iter().enumerate() {
            check(&format!("model.vision.heads in stage {}", stage + 1), *heads, vision.width(stage))?;
        }
        check("model.text.num_attention_heads", text.num_attention_heads, text.hidden_size)?;
        check("model.fusion.heads", fusion.heads, vision.feature_size)?;
        if (fusion.exchange, self.model.bottleneck) == (Exchange::Late, Bottleneck::Unfused) {
            let expected =
                "model.bottleneck of \"fused\" for an exchange that is \"late\", since it is there";
            return Err(Error::content(path, expected, "\"unfused\""));
        }
        Ok(())
    }

    /// Whether the constants of the optimizer can lead anywhere.
    fn check_learning(&self, path: &Path) -> Result<()> {
        let TrainConfig { learning_rate, optimizer, .. } = &self.train;
        let refuse = |expected: &str, found: f64| Err(Error::content(path, expected, found.to_string()));
        if !(learning_rate.is_finite() && *learning_rate > 0.0) {
            return refuse("train.learning_rate above 0", *learning_rate);
        }
        for (expected, beta) in [("beta1", optimizer.beta1), ("beta2", optimizer.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(&format!("train.optimizer.{expected} of at least 0 and below 1"), beta);
            }
        }
        let AdamWConfig { epsilon, weight_decay, clip_norm, .. } = *optimizer;
        for (name, value) in [("epsilon", epsilon), ("weight_decay", weight_decay), ("clip_norm", clip_norm)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(&format!("train.optimizer.{name} of at least 0"), value);
            }
        }
        Ok(())
    }
}

/// The classes of the folder, where they are called otherwise or are others.
fn renamed(dataset: &Dataset) -> Option<FolderClasses> {
    let Dataset { classes, labels, folder_classes, .. } = dataset;
    let is_same = (classes, labels) == (&folder_classes.names, &folder_classes.labels);
    (!is_same).then(|| folder_classes.clone())
}

/// The paper's values for `paper`; for the smaller networks, which learn in minutes, a higher rate.
fn train_defaults(preset: Preset) -> TrainConfig {
    let (steps, batch, learning_rate) = match preset {
        Preset::Paper => (54_000, 1, 1e-4),
        Preset::Small => (10_000, 1, 5e-4),
        Preset::Tiny => (3_000, 2, 1e-3),
    };
    let clip_norm = if preset == Preset::Paper { 0.0 } else { 1.0 };
    TrainConfig {
        seed: 42,
        steps,
        batch,
        accumulate: 1,
        learning_rate,
        warmup_steps: if preset == Preset::Paper { 0 } else { 100 },
        validate_every: (steps / 10).max(1),
        patience: 0,
        recompute: Recompute::default(),
        checkpoint_every: (steps / 30).max(1),
        foreground_share: 0.5,
        optimizer: AdamWConfig { clip_norm, ..AdamWConfig::default() },
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

/// Values of `user` over those of `defaults`, table by table; tables that choose one of several forms
/// (the intensities) are replaced whole.
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
