//! Events of a training; each but [`TrainEvent::ValidationProgress`] is a JSON line of the log.

use indexmap::IndexMap;
use serde::Serialize;

/// An event of a training.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrainEvent {
    /// An optimizer step is done.
    Step {
        /// From 1.
        step: usize,
        /// Completed epochs.
        epoch: usize,
        /// Learning rate of this step.
        learning_rate: f64,
        /// Mean losses over the batches of the step.
        loss: LossValues,
        /// Wall-clock time of the step.
        seconds: f64,
    },
    /// A patch of a validation case is done.
    ValidationProgress {
        /// Steps done.
        step: usize,
        /// Index of the case.
        case: usize,
        /// Number of validation cases.
        cases: usize,
        /// Patches of the case that are done.
        patch: usize,
        /// Patches of the case.
        patches: usize,
    },
    /// A validation is done.
    Validation {
        /// Steps done.
        step: usize,
        /// Mean over the classes.
        mean_dice: f64,
        /// Mean over cases by class; a missed class has 0.
        dice: IndexMap<String, f64>,
        /// Whether these weights are the best so far.
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
    /// A checkpoint is written.
    Checkpoint {
        /// Steps done.
        step: usize,
    },
    /// The training ended, because no validation improved.
    EarlyStopping {
        /// Steps done.
        step: usize,
        /// Steps planned.
        max_steps: usize,
        /// Validations without improvement.
        validations: usize,
    },
    /// The training ended, because the time budget is used up.
    TimeBudgetExhausted {
        /// Steps done.
        step: usize,
        /// Steps planned.
        max_steps: usize,
    },
    /// The training ended, because the callback broke.
    Interrupted {
        /// Steps done.
        step: usize,
        /// Steps planned.
        max_steps: usize,
    },
}

/// Loss values of one step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LossValues {
    /// Weighted by the learned weights.
    pub total: f32,
    /// Dice and cross-entropy.
    pub segmentation: f32,
    /// Class-embedding supervision.
    pub class_embedding: f32,
    /// Alignment of text and image; 0 if disabled.
    pub alignment: f32,
}

impl From<[f32; 4]> for LossValues {
    fn from([total, segmentation, class_embedding, alignment]: [f32; 4]) -> Self {
        Self { total, segmentation, class_embedding, alignment }
    }
}
