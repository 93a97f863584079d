//! Validates the values of a prompted run.

use std::{collections::HashSet, fs, path::Path};

use bipvl_nn::{BottleneckInput, HeadKind, InvalidConfig, bifusion::TextSelfAttention};

use bipvl_train::loss::LossConfig;

use super::{PromptConfig, file::syntax_error};
use crate::{Error, Result};

/// Prompts of a patch: each takes as much memory as ten channels of the image.
const MAX_PER_STEP: usize = 256;

impl PromptConfig {
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

    /// The configuration as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("every value has a TOML form")
    }

    /// Voxels of a patch, equal for all data sets.
    pub fn patch_size(&self) -> [usize; 3] {
        self.data.set[0].preprocess.patch_size
    }

    /// Checks the values; `path` is named.
    ///
    /// # Errors
    ///
    /// For the first value that is invalid.
    pub fn validate(&self, path: &Path) -> Result<()> {
        self.validate_sets(path)?;
        self.validate_model(path)?;
        self.validate_prompts(path)?;
        self.train.validate(path)?;
        if self.train.patience != 0 {
            let requirement = "0 in a prompted training, which knows no other";
            return Err(Error::config_value(path, "train.patience", self.train.patience, requirement));
        }
        let (loss, defaults) = (self.train.loss, LossConfig::default());
        for (key, is_other) in [
            ("train.loss.concept_weights", loss.concept_weights != defaults.concept_weights),
            ("train.loss.hard_negatives", loss.hard_negatives != defaults.hard_negatives),
        ] {
            if is_other {
                return Err(Error::config_value(path, key, "set", "absent: prompts have the default alone"));
            }
        }
        let flip = self.train.augment.flip_probability;
        if flip[0] > 0.0 {
            let requirement = "0 along x, where sides need another text; set prompts.mirror instead";
            let found = format!("{flip:?}");
            return Err(Error::config_value(path, "train.augment.flip_probability", found, requirement));
        }
        if !(0.0..1.0).contains(&self.infer.overlap) {
            return Err(Error::config_value(
                path,
                "infer.overlap",
                self.infer.overlap,
                "at least 0 and below 1",
            ));
        }
        if !self.infer.tta_mirror_axes.is_empty() || self.infer.keep_largest_component {
            let requirement = "absent: prompts know neither mirroring nor components";
            return Err(Error::config_value(
                path,
                "infer",
                "tta_mirror_axes or keep_largest_component",
                requirement,
            ));
        }
        Ok(())
    }

    fn validate_sets(&self, path: &Path) -> Result<()> {
        let mut names = HashSet::new();
        let patch = self.patch_size();
        for set in &self.data.set {
            if !names.insert(&set.name) {
                let requirement = "a name of its own for every set";
                return Err(Error::config_value(
                    path,
                    "data.set.name",
                    format!("\"{}\" twice", set.name),
                    requirement,
                ));
            }
            if set.name.trim().is_empty() {
                return Err(Error::config_value(path, "data.set.name", "\"\"", "a name"));
            }
            if let Some((class, _)) = set.rename.iter().find(|(_, name)| name.trim().is_empty()) {
                return Err(Error::config_value(path, &format!("data.set.rename.{class}"), "\"\"", "a name"));
            }
            if let Some(name) = set.absent.iter().find(|name| set.unknown.contains(name)) {
                let requirement = format!("only one of absent and unknown in `{}`", set.name);
                return Err(Error::config_value(path, "data.set.absent", format!("\"{name}\""), requirement));
            }
            set.preprocess.check(path)?;
            if set.preprocess.patch_size != patch {
                let requirement = format!("{patch:?}, as in the first data set; set it once in [preprocess]");
                let found = format!("{:?} in `{}`", set.preprocess.patch_size, set.name);
                return Err(Error::config_value(path, "data.set.preprocess.patch_size", found, requirement));
            }
        }
        let multiple = self.model.vision.patch_multiple();
        if patch.iter().any(|side| !side.is_multiple_of(multiple)) {
            let requirement = format!("multiples of {multiple}");
            return Err(Error::config_value(
                path,
                "preprocess.patch_size",
                format!("{patch:?}"),
                requirement,
            ));
        }
        Ok(())
    }

    fn validate_model(&self, path: &Path) -> Result<()> {
        let context_dropout = self.model.prompts.context_dropout;
        if !(0.0..1.0).contains(&context_dropout) {
            let key = "model.prompts.context_dropout";
            return Err(Error::config_value(path, key, context_dropout, "at least 0 and below 1"));
        }
        if let Err(InvalidConfig { key, found, requirement }) = self.model.validate() {
            return Err(Error::config_value(path, &format!("model.{key}"), found, requirement));
        }
        if self.model.head != HeadKind::Prompts {
            return Err(Error::config_value(path, "model.head", "\"channels\"", "\"prompts\""));
        }
        let channels = self.model.vision.in_channels();
        if channels != 1 {
            let requirement = "1; choose a channel of each data set with data.set.channel";
            return Err(Error::config_value(path, "model.vision.in_channels", channels, requirement));
        }
        for (key, is_other, requirement) in [
            ("model.bottleneck", self.model.bottleneck != BottleneckInput::AfterFusion, "\"after_fusion\""),
            (
                "model.deep_supervision_levels",
                self.model.deep_supervision_levels != 0,
                "0: all scales have a loss",
            ),
            ("model.fusion.class_scale", self.model.fusion.class_scale, "false"),
        ] {
            if is_other {
                return Err(Error::config_value(path, key, "set", requirement));
            }
        }
        if self.model.prompts.coordinates && self.pretrained.backbone.is_some() {
            let requirement = "false with pretrained.backbone, which reads one channel";
            return Err(Error::config_value(path, "model.prompts.coordinates", true, requirement));
        }
        if self.model.fusion.text_self_attention != TextSelfAttention::PerClass {
            let requirement = "\"per_class\": prompts that attend to each other all become one";
            return Err(Error::config_value(
                path,
                "model.fusion.text_self_attention",
                "\"joint\"",
                requirement,
            ));
        }
        Ok(())
    }

    fn validate_prompts(&self, path: &Path) -> Result<()> {
        let sampling = &self.prompts;
        if !(1..=MAX_PER_STEP).contains(&sampling.per_step) {
            let requirement = format!("from 1 to {MAX_PER_STEP}");
            return Err(Error::config_value(path, "prompts.per_step", sampling.per_step, requirement));
        }
        for (key, share) in [
            ("prompts.absent", sampling.absent),
            ("prompts.nonsense", sampling.nonsense),
            ("prompts.unions", sampling.unions),
            ("prompts.mirror", sampling.mirror),
            ("prompts.text.word_dropout", sampling.text.word_dropout),
            ("prompts.text.typo", sampling.text.typo),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::config_value(path, key, share, "from 0 to 1"));
            }
        }
        if sampling.code_book && sampling.mirror > 0.0 {
            let requirement = "0 with prompts.code_book, whose strings have no sides";
            return Err(Error::config_value(path, "prompts.mirror", sampling.mirror, requirement));
        }
        if sampling.code_book && self.pretrained.text_encoder.is_some() {
            let requirement = "absent with prompts.code_book, whose strings have no meaning";
            return Err(Error::config_value(path, "pretrained.text_encoder", "set", requirement));
        }
        let frequencies = [sampling.text.name, sampling.text.sentences, sampling.text.full];
        if frequencies.iter().any(|share| !(share.is_finite() && *share >= 0.0))
            || frequencies.iter().sum::<f64>() <= 0.0
        {
            let requirement = "at least 0 each, and not all 0";
            return Err(Error::config_value(path, "prompts.text", format!("{frequencies:?}"), requirement));
        }
        let factor = self.text.learning_rate_factor;
        if !(factor.is_finite() && factor >= 0.0) {
            return Err(Error::config_value(path, "text.learning_rate_factor", factor, "at least 0"));
        }
        Ok(())
    }
}
