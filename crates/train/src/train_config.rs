//! Training hyperparameters.

use std::ops::Range;

use bipvl_data::AugmentConfig;
use bipvl_nn::ModelSize;
use serde::{Deserialize, Serialize};

use crate::{
    StopReason, activation_checkpointing::ActivationCheckpointing, checkpoint::TrainProgress,
    communicator::Communicator, loss::LossConfig, optimizer::AdamWConfig,
};

/// Training hyperparameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Random seed.
    pub seed: u64,
    /// Optimizer steps.
    pub max_steps: usize,
    /// Batch size: samples per forward pass.
    pub batch_size: usize,
    /// Batches per optimizer step, equivalent to one larger batch with the memory of one.
    #[serde(default = "one")]
    pub gradient_accumulation_steps: usize,
    /// Peak learning rate, with cosine annealing to zero.
    pub learning_rate: f64,
    /// Steps of linear warmup.
    pub warmup_steps: usize,
    /// Steps between validations.
    pub val_every_n_steps: usize,
    /// Early stopping: validations without improvement; 0 disables it.
    #[serde(default)]
    pub patience: usize,
    /// Activation checkpointing.
    #[serde(default)]
    pub activation_checkpointing: ActivationCheckpointing,
    /// Steps between checkpoints.
    pub checkpoint_every_n_steps: usize,
    /// Probability that a patch is centered on a foreground voxel.
    pub oversample_foreground: f64,
    /// Optimizer.
    pub optimizer: AdamWConfig,
    /// Losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// Augmentation.
    pub augment: AugmentConfig,
}

fn one() -> usize {
    1
}

impl TrainConfig {
    /// The paper's values for `paper`; higher learning rates for the smaller networks.
    pub fn defaults(size: ModelSize) -> Self {
        let (max_steps, batch_size, learning_rate) = match size {
            ModelSize::Paper => (54_000, 1, 1e-4),
            ModelSize::Small => (10_000, 1, 5e-4),
            ModelSize::Tiny => (3_000, 2, 1e-3),
        };
        let max_grad_norm = if size == ModelSize::Paper { 0.0 } else { 1.0 };
        Self {
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

    /// Whether the training is complete: all steps done or stopped early, and validated.
    pub fn is_finished(&self, progress: &TrainProgress) -> bool {
        self.stop_reason(progress).is_some()
    }

    pub(crate) fn stop_reason(&self, progress: &TrainProgress) -> Option<StopReason> {
        if progress.validation_pending {
            None
        } else if progress.step >= self.max_steps {
            Some(StopReason::MaxSteps)
        } else {
            self.should_stop_early(progress).then_some(StopReason::EarlyStopping)
        }
    }

    fn should_stop_early(&self, progress: &TrainProgress) -> bool {
        let since = progress.best.map_or(0, |best| (progress.step - best.step) / self.val_every_n_steps);
        self.patience > 0 && since >= self.patience
    }

    /// Whether the weights after `step` are validated.
    pub(crate) fn is_validation_step(&self, step: usize) -> bool {
        step == self.max_steps || step.is_multiple_of(self.val_every_n_steps)
    }

    /// Samples per optimizer step and process.
    pub fn samples_per_step(&self) -> usize {
        self.batch_size * self.gradient_accumulation_steps
    }

    /// The samples of a step that a process gets.
    pub fn samples_of_rank(&self, communicator: &dyn Communicator) -> Range<usize> {
        let samples = self.samples_per_step();
        let first = samples * communicator.rank();
        first..first + samples
    }
}
