//! Whether the values of a configuration fit together.

use std::path::Path;

use super::Config;
use crate::{Error, Result};
use crate::{TrainConfig, optimizer::AdamWConfig};
use bipvl_infer::{TestTimeMirroring, lateral_pair};

impl Config {
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
        if !(0.0..=1.0).contains(&self.train.oversample_foreground) {
            let found = self.train.oversample_foreground.to_string();
            return refuse("train.oversample_foreground from 0 to 1".into(), found);
        }
        let patch = self.preprocess.patch_size;
        let multiple = self.model.vision.patch_multiple();
        if patch.iter().any(|side| *side == 0 || !side.is_multiple_of(multiple)) {
            return refuse(format!("preprocess.patch_size in multiples of {multiple}"), format!("{patch:?}"));
        }
        if !(0.0..1.0).contains(&self.infer.overlap) {
            return refuse("infer.overlap of at least 0 and below 1".into(), self.infer.overlap.to_string());
        }
        self.validate_mirroring(self.infer.tta_mirror_axes, path)?;
        self.validate_keep_largest_component(self.infer.keep_largest_component, path)?;
        self.check_sizes(path)?;
        self.check_learning(path)
    }

    /// Whether every size is at least 1 and the channels are those of the data.
    fn check_sizes(&self, path: &Path) -> Result<()> {
        self.model.validate().map_err(|invalid| {
            Error::content(path, format!("model.{} of {}", invalid.key, invalid.requirement), invalid.found)
        })?;
        let sizes = [
            ("train.max_steps", self.train.max_steps),
            ("train.batch_size", self.train.batch_size),
            ("train.gradient_accumulation_steps", self.train.gradient_accumulation_steps),
            ("train.val_every_n_steps", self.train.val_every_n_steps),
            ("train.checkpoint_every_n_steps", self.train.checkpoint_every_n_steps),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::content(path, format!("{name} of at least 1"), "0"));
        }
        let in_channels = self.model.vision.in_channels();
        if in_channels != self.data.channels.len() {
            let expected = format!("model.vision.in_channels of {}", self.data.channels.len());
            return Err(Error::content(path, expected, in_channels.to_string()));
        }
        Ok(())
    }

    /// Whether a prediction may be mirrored so: along x not where it would turn a class into its twin on the
    /// other side, unless the training mirrored too and told no sides apart.
    ///
    /// # Errors
    ///
    /// When it may not; `path` is named.
    pub fn validate_mirroring(&self, mirror: TestTimeMirroring, path: &Path) -> Result<()> {
        match lateral_pair(&self.data.label_schema.names()) {
            Some([one, other]) if mirror.contains(0) && self.train.augment.flip_probability[0] == 0.0 => {
                let expected = format!(
                    "no mirroring along x, which turns \"{one}\" into \"{other}\"; y and z may be mirrored"
                );
                Err(Error::content(path, expected, format!("\"{mirror}\"")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the classes are ones of which the largest component alone may be kept: a region that others cut out
    /// of is in pieces on a label map though it is one piece in the body.
    ///
    /// # Errors
    ///
    /// When they overlap; `path` is named.
    pub fn validate_keep_largest_component(&self, is_kept: bool, path: &Path) -> Result<()> {
        if is_kept && self.data.label_schema.is_overlapping() {
            let expected = "classes that exclude each other, to keep the largest component of each";
            return Err(Error::content(path, expected, "regions that overlap"));
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
        let AdamWConfig { epsilon, weight_decay, max_grad_norm, .. } = *optimizer;
        for (name, value) in
            [("epsilon", epsilon), ("weight_decay", weight_decay), ("max_grad_norm", max_grad_norm)]
        {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(&format!("train.optimizer.{name} of at least 0"), value);
            }
        }
        Ok(())
    }
}
