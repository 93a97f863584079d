//! Validates the training part of a configuration.

use std::path::Path;

use bipvl_infer::Error;

use super::Config;
use crate::{Result, TrainConfig, optimizer::AdamWConfig};

impl Config {
    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`bipvl_infer::Error::ConfigValue`] for the first invalid value; `path` is named.
    pub fn validate(&self, path: &Path) -> Result<()> {
        self.model_config().validate(path)?;
        self.train.validate(path)
    }
}

impl TrainConfig {
    /// Validates the values.
    ///
    /// # Errors
    ///
    /// [`bipvl_infer::Error::ConfigValue`] for the first invalid value; `path` is named.
    pub fn validate(&self, path: &Path) -> Result<()> {
        self.augment.check(path)?;
        self.validate_steps(path)?;
        self.validate_optimizer(path)
    }

    fn validate_steps(&self, path: &Path) -> Result<()> {
        let Self {
            max_steps,
            batch_size,
            gradient_accumulation_steps,
            val_every_n_steps,
            checkpoint_every_n_steps,
            oversample_foreground,
            ..
        } = *self;
        let counts = [
            ("train.max_steps", max_steps),
            ("train.batch_size", batch_size),
            ("train.gradient_accumulation_steps", gradient_accumulation_steps),
            ("train.val_every_n_steps", val_every_n_steps),
            ("train.checkpoint_every_n_steps", checkpoint_every_n_steps),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::config_value(path, key, 0, "at least 1").into());
        }
        if !(0.0..=1.0).contains(&oversample_foreground) {
            let key = "train.oversample_foreground";
            return Err(Error::config_value(path, key, oversample_foreground, "from 0 to 1").into());
        }
        Ok(())
    }

    fn validate_optimizer(&self, path: &Path) -> Result<()> {
        let Self { learning_rate, optimizer, .. } = self;
        let refuse = |key: &str, found: f64, requirement| {
            Err(Error::config_value(path, key, found, requirement).into())
        };
        if !(learning_rate.is_finite() && *learning_rate > 0.0) {
            return refuse("train.learning_rate", *learning_rate, "above 0");
        }
        let AdamWConfig { beta1, beta2, epsilon, weight_decay, max_grad_norm } = *optimizer;
        for (key, beta) in [("train.optimizer.beta1", beta1), ("train.optimizer.beta2", beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return refuse(key, beta, "at least 0 and below 1");
            }
        }
        for (key, value) in [
            ("train.optimizer.epsilon", epsilon),
            ("train.optimizer.weight_decay", weight_decay),
            ("train.optimizer.max_grad_norm", max_grad_norm),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(key, value, "at least 0");
            }
        }
        Ok(())
    }
}
