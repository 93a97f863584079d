//! What a prompted training reports.

use indexmap::IndexMap;
use serde::Serialize;

/// Losses of a step, before weighting but for the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PromptLossValues {
    /// Weighted sum.
    pub total: f32,
    /// Cross-entropy and Dice of the masks.
    pub segmentation: f32,
    /// Class embeddings against the masks.
    pub class_embedding: f32,
    /// Prompts against image regions; 0 where nothing could be compared.
    pub alignment: f32,
    /// Presence; 0 without the head.
    pub presence: f32,
}

impl From<[f32; 5]> for PromptLossValues {
    fn from([total, segmentation, class_embedding, alignment, presence]: [f32; 5]) -> Self {
        Self { total, segmentation, class_embedding, alignment, presence }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PromptEvent {
    /// An optimizer step.
    Step {
        /// Steps done.
        step: usize,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Prompts of a sample.
        prompts: usize,
        /// Losses.
        loss: PromptLossValues,
        /// Wall-clock time.
        seconds: f64,
    },
    /// A validation.
    Validation {
        /// Steps done.
        step: usize,
        /// Mean over the concepts of all sets.
        mean_dice: f64,
        /// `set / concept` → mean Dice over the cases that show it.
        dice: IndexMap<String, f64>,
        /// Share of prompts for absent concepts that found at least 8 voxels.
        false_alarms: f64,
        /// Whether the weights are the best so far.
        best: bool,
    },
    /// The training continues with another number of processes, and so with another number of samples a step.
    RanksChanged {
        /// Steps done.
        step: usize,
        /// Processes until now.
        before: usize,
        /// Processes from now on.
        now: usize,
    },
    /// The training state was saved.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The training stopped before its last step.
    Stopped {
        /// Steps done.
        step: usize,
        /// Steps planned.
        steps: usize,
        /// Why: `time`, `interrupt`, or `patience`.
        reason: &'static str,
    },
}
