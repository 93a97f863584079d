//! Whether the values of a configuration fit together.

use std::path::Path;

use super::Config;
use crate::{Error, Result};
use crate::{TrainConfig, optimizer::AdamWConfig};
use bipvl_infer::{TestTimeMirroring, lateral_pair};
use bipvl_nn::{BiPvlSegConfig, BottleneckInput, PATCH_MULTIPLE, STAGES, bifusion::FusionDirection};

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
        if patch.iter().any(|side| *side == 0 || !side.is_multiple_of(PATCH_MULTIPLE)) {
            return refuse("preprocess.patch_size in multiples of 32".into(), format!("{patch:?}"));
        }
        if !(0.0..1.0).contains(&self.infer.overlap) {
            return refuse("infer.overlap of at least 0 and below 1".into(), self.infer.overlap.to_string());
        }
        self.validate_mirroring(self.infer.tta_mirror_axes, path)?;
        self.validate_keep_largest_component(self.infer.keep_largest_component, path)?;
        self.check_sizes(path)?;
        self.check_heads(path)?;
        self.check_learning(path)
    }

    /// Whether every size is at least 1 and the channels are those of the data.
    fn check_sizes(&self, path: &Path) -> Result<()> {
        let BiPvlSegConfig { vision, text, fusion, projection_dim, .. } = &self.model;
        let sizes = [
            ("model.vision.feature_size", vision.feature_size),
            ("model.vision.window_size", vision.window_size),
            ("model.text.hidden_size", text.hidden_size),
            ("model.text.intermediate_size", text.intermediate_size),
            ("model.text.max_position_embeddings", text.max_position_embeddings),
            ("model.fusion.mlp_size", fusion.mlp_size),
            ("model.projection_dim", *projection_dim),
            ("train.max_steps", self.train.max_steps),
            ("train.batch_size", self.train.batch_size),
            ("train.gradient_accumulation_steps", self.train.gradient_accumulation_steps),
            ("train.val_every_n_steps", self.train.val_every_n_steps),
            ("train.checkpoint_every_n_steps", self.train.checkpoint_every_n_steps),
        ];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::content(path, format!("{name} of at least 1"), "0"));
        }
        if self.model.deep_supervision_levels > STAGES {
            let expected = format!("model.deep_supervision_levels from 0 to {STAGES}");
            return Err(Error::content(path, expected, self.model.deep_supervision_levels.to_string()));
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
            check(&format!("model.vision.heads in stage {}", stage + 1), *heads, vision.channels_at(stage))?;
        }
        check("model.text.num_attention_heads", text.num_attention_heads, text.hidden_size)?;
        check("model.fusion.heads", fusion.heads, vision.feature_size)?;
        if (fusion.direction, self.model.bottleneck)
            == (FusionDirection::LateOnly, BottleneckInput::BeforeFusion)
        {
            let expected =
                "model.bottleneck of \"after_fusion\" for a direction of \"late_only\", since it is there";
            return Err(Error::content(path, expected, "\"before_fusion\""));
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
