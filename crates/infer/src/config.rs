//! The parts of a run's `config.toml` that prediction needs.

use std::{fs, path::Path};

use bipvl_data::{
    AugmentConfig, DatasetOverrides, LabelSchema, LabelSchemaSpec, Modality, PreprocessConfig, SplitConfig,
};
use bipvl_io::FileError;
use bipvl_nn::{BiPvlSegConfig, HeadConfig, InvalidConfig};
use serde::{Deserialize, Serialize};

use crate::{BlendMode, Error, MAX_OVERLAPPING_CLASSES, Result, TestTimeMirroring, lateral_pair};

/// Sliding window and post-processing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Overlap of neighboring patches, 0 ≤ overlap < 1.
    pub overlap: f64,
    /// Weighting of overlapping patches.
    pub blend_mode: BlendMode,
    /// Axes of test-time mirroring; the number of forward passes doubles per axis.
    #[serde(skip_serializing_if = "TestTimeMirroring::is_empty")]
    pub tta_mirror_axes: TestTimeMirroring,
    /// Whether to keep only the largest connected component (26 neighbors) of each class; for exclusive classes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_largest_component: bool,
    /// Whether constant patches, such as air, reuse logits ([`crate::ConstantPatchCache`]). Not in configuration
    /// files, because no result depends on it.
    #[serde(skip, default = "enabled")]
    pub skip_constant_patches: bool,
}

fn enabled() -> bool {
    true
}

impl Default for InferConfig {
    fn default() -> Self {
        Self {
            overlap: 0.5,
            blend_mode: BlendMode::Gaussian,
            tta_mirror_axes: TestTimeMirroring::default(),
            keep_largest_component: false,
            skip_constant_patches: true,
        }
    }
}

/// The training data of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Name of the data set.
    pub name: String,
    /// The validation fold, `K/N`.
    pub fold: String,
    /// Imaging modality.
    pub modality: Modality,
    /// Channel names, in order.
    pub channels: Vec<String>,
    /// The classes and their labels.
    pub label_schema: LabelSchema,
    /// Validation and test cases.
    #[serde(default)]
    pub split: SplitConfig,
    /// The classes of the data set itself, if the configuration changes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_schema: Option<LabelSchema>,
}

impl DataConfig {
    /// How to read the data set of the training again.
    pub fn dataset_overrides(&self) -> DatasetOverrides {
        let labels = self.label_schema.is_overlapping().then(|| self.label_schema.labels().to_vec());
        let label_schema = LabelSchemaSpec { labels, ..self.label_schema.clone().into() };
        DatasetOverrides { modality: Some(self.modality), label_schema }
    }

    /// Classes and logit channels of the network.
    pub fn head_config(&self) -> HeadConfig {
        head_config(&self.label_schema)
    }

    /// Index and number of folds.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigValue`] unless `fold` is `K/N` with K < N and N ≥ 2; `path` is named.
    pub fn parse_fold(&self, path: &Path) -> Result<(usize, usize)> {
        parse_fold(&self.fold, path)
    }

    fn validate(&self, path: &Path) -> Result<()> {
        self.parse_fold(path)?;
        let classes = self.label_schema.num_classes();
        if self.label_schema.is_overlapping() && classes > MAX_OVERLAPPING_CLASSES {
            let found = format!("{classes} overlapping classes");
            let requirement = format!("at most {MAX_OVERLAPPING_CLASSES}");
            return Err(Error::config_value(path, "data.label_schema", found, requirement));
        }
        Ok(())
    }
}

/// Whether a configuration has `model.head = "prompts"`.
pub fn has_prompts_head(text: &str) -> bool {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let head = table.get("model").and_then(|model| model.get("head"));
    head.and_then(toml::Value::as_str) == Some("prompts")
}

/// Index and number of folds of `data.fold`.
///
/// # Errors
///
/// [`Error::ConfigValue`] unless it is `K/N` with K < N and N ≥ 2; `path` is named.
pub fn parse_fold(fold: &str, path: &Path) -> Result<(usize, usize)> {
    let parts = fold.split_once('/');
    let parsed = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    parsed.filter(|(k, n)| k < n && *n >= 2).ok_or_else(|| {
        let found = format!("\"{fold}\"");
        Error::config_value(path, "data.fold", found, "K/N with K < N and N ≥ 2, such as 0/5")
    })
}

/// Classes and logit channels of a network for the classes of a schema. `bipvl-nn` does not depend on
/// label schemas, because it needs no class names.
pub fn head_config(schema: &LabelSchema) -> HeadConfig {
    HeadConfig { num_classes: schema.num_classes(), out_channels: schema.num_logit_channels() }
}

/// The configuration of a trained model. The training part is kept, but not interpreted.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ModelConfig {
    /// Name of the model size that gave the defaults.
    pub model_size: String,
    /// Training data.
    pub data: DataConfig,
    /// Preprocessing.
    pub preprocess: PreprocessConfig,
    /// Architecture.
    pub model: BiPvlSegConfig,
    /// Inference defaults.
    pub infer: InferConfig,
    /// The training configuration, opaque here.
    #[serde(default)]
    pub train: toml::Table,
}

impl ModelConfig {
    /// Reads the `config.toml` of a run.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a key is missing, or a value is invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| FileError::new(path, reason))?;
        let config: Self =
            toml::from_str(&text).map_err(|error| Error::config_syntax(path, &error, &text))?;
        config.validate(path)?;
        Ok(config)
    }

    /// Per axis whether the training augmented with flips.
    pub fn trained_with_flips(&self) -> [bool; 3] {
        let augment = self.train.get("augment").cloned().and_then(|value| value.try_into().ok());
        augment.map_or([false; 3], |augment: AugmentConfig| {
            augment.flip_probability.map(|probability| probability > 0.0)
        })
    }

    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigValue`] for the first invalid value; `path` is named.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let refuse = |key: &str, found: String, requirement: &str| {
            Err(Error::config_value(path, key, found, requirement))
        };
        self.data.validate(path)?;
        self.preprocess.check(path)?;
        let patch_size = self.preprocess.patch_size;
        let multiple = self.model.vision.patch_multiple();
        if patch_size.iter().any(|side| *side == 0 || !side.is_multiple_of(multiple)) {
            let requirement = format!("multiples of {multiple}");
            return refuse("preprocess.patch_size", format!("{patch_size:?}"), &requirement);
        }
        if !(0.0..1.0).contains(&self.infer.overlap) {
            return refuse("infer.overlap", self.infer.overlap.to_string(), "at least 0 and below 1");
        }
        let axes = self.infer.tta_mirror_axes;
        if let Err(error) = self.validate_mirroring(axes) {
            let requirement = format!("without x: {error}");
            return refuse("infer.tta_mirror_axes", format!("\"{axes}\""), &requirement);
        }
        if let Err(error) = self.validate_keep_largest_component(self.infer.keep_largest_component) {
            return refuse("infer.keep_largest_component", "true".to_owned(), &format!("false: {error}"));
        }
        self.validate_model(path)
    }

    /// Checks that mirroring does not swap left and right classes: not along x, unless the training flipped along x
    /// as well.
    ///
    /// # Errors
    ///
    /// [`Error::LateralMirroring`].
    pub fn validate_mirroring(&self, mirroring: TestTimeMirroring) -> Result<()> {
        match lateral_pair(&self.data.label_schema.names()) {
            Some([left, right]) if mirroring.contains(0) && !self.trained_with_flips()[0] => {
                let (left, right) = (left.to_owned(), right.to_owned());
                Err(Error::LateralMirroring { axes: mirroring.to_string(), left, right })
            }
            _ => Ok(()),
        }
    }

    /// Checks that the largest component is kept for exclusive classes only: where classes are cut out of a region,
    /// its part of the label map can have several components though the region has one.
    ///
    /// # Errors
    ///
    /// [`Error::OverlappingComponents`].
    pub fn validate_keep_largest_component(&self, keep: bool) -> Result<()> {
        if keep && self.data.label_schema.is_overlapping() {
            return Err(Error::OverlappingComponents);
        }
        Ok(())
    }

    fn validate_model(&self, path: &Path) -> Result<()> {
        if let Err(InvalidConfig { key, found, requirement }) = self.model.validate() {
            return Err(Error::config_value(path, format!("model.{key}"), found, requirement));
        }
        let (in_channels, channels) = (self.model.vision.in_channels(), self.data.channels.len());
        if in_channels != channels {
            let requirement = format!("{channels}, the number of data.channels");
            return Err(Error::config_value(path, "model.vision.in_channels", in_channels, requirement));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_decides_which_form_a_configuration_is_of() {
        assert!(has_prompts_head("[model]\nhead = \"prompts\""));
        assert!(!has_prompts_head("[model]\nhead = \"channels\""));
        assert!(!has_prompts_head("model_size = \"tiny\""));
    }
}
