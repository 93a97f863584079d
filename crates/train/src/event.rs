//! What happens in a training, event by event; each becomes one JSON line.

use indexmap::IndexMap;
use serde::Serialize;

/// One event of a training.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    /// One update of the weights.
    Step {
        /// Counted from 1.
        step: usize,
        /// Passes through the training cases so far.
        epoch: usize,
        /// Of this update.
        learning_rate: f64,
        /// Of this batch.
        loss: LossValues,
        /// Wall-clock time of the step.
        seconds: f64,
    },
    /// Validation cases were segmented.
    Validation {
        /// After this many updates.
        step: usize,
        /// Mean over classes of the class means.
        mean_dice: f64,
        /// Mean over cases, a missed class counted as 0.
        dice: IndexMap<String, f64>,
        /// Whether these weights became the best checkpoint.
        best: bool,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// After this many updates.
        step: usize,
    },
    /// The training stopped early, since the last validations found nothing better.
    EarlyStopping {
        /// Updates done.
        step: usize,
        /// Updates planned.
        max_steps: usize,
        /// How many validations.
        validations: usize,
    },
    /// The time budget ended the training early.
    TimeBudgetExhausted {
        /// Updates done.
        step: usize,
        /// Updates planned.
        max_steps: usize,
    },
}

/// The losses of one step as numbers.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LossValues {
    /// Weighted by the learned weights.
    pub total: f32,
    /// Dice and cross-entropy.
    pub segmentation: f32,
    /// Class-embedding supervision.
    pub class_embedding: f32,
    /// Alignment of text and image; 0 where nothing is aligned.
    pub alignment: f32,
}
