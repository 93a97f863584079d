//! From batches to weights.

mod error;
pub mod gradient_accumulation;
pub mod budget;
pub mod checkpoint;
pub mod config;
pub mod event;
pub mod loss;
pub mod memory;
pub mod optimizer;
pub mod activation_checkpointing;
pub mod run;
pub mod schedule;
pub mod validate;

pub use error::{Error, Result};

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use burn::{
    module::Module,
    tensor::{Device, Gradients, Tensor},
};
use serde::{Deserialize, Serialize};

use bipvl_data::{
    AugmentConfig, Batch, CachedCase, LabelSchema, Loader, LoaderConfig, PreprocessConfig, Sample,
};
use gradient_accumulation::GradientAccumulator;

use activation_checkpointing::ActivationCheckpointing;
use bipvl_infer::InferConfig;
use bipvl_nn::{
    BiPvlSeg, BiPvlSegConfig, HeadConfig, TextInput,
    init::{DropoutRng, Initializer},
    interop::PretrainedWeights,
    weights::load_state_dict_partial,
};
use bipvl_text::CaseTexts;
use checkpoint::{BestValidation, TrainProgress, TrainState};
use event::{LossValues, TrainEvent};
use loss::{LossConfig, LossTerms, LossWeights};
use optimizer::{AdamW, AdamWConfig};
use schedule::learning_rate;
use validate::validate;

/// How the weights are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What every random choice follows from.
    pub seed: u64,
    /// Updates of the weights.
    pub max_steps: usize,
    /// Samples that pass through the network together.
    pub batch_size: usize,
    /// Batches per update; several are as good as one larger batch, in the memory of one.
    #[serde(default = "one")]
    pub gradient_accumulation_steps: usize,
    /// Highest learning rate; it falls to zero as a cosine.
    pub learning_rate: f64,
    /// Updates during which the rate rises to it.
    pub warmup_steps: usize,
    /// Updates between two validations.
    pub val_every_n_steps: usize,
    /// Validations in a row that find nothing better before the training stops early; 0 means: it never does.
    #[serde(default)]
    pub patience: usize,
    /// What the backward pass computes once more, to need less memory.
    #[serde(default)]
    pub activation_checkpointing: ActivationCheckpointing,
    /// Updates between two checkpoints.
    pub checkpoint_every_n_steps: usize,
    /// Share of patches centered on a class.
    pub oversample_foreground: f64,
    /// Constants of the optimizer.
    pub optimizer: AdamWConfig,
    /// Forms of the losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// How patches are varied.
    pub augment: AugmentConfig,
}

fn one() -> usize {
    1
}

impl TrainConfig {
    /// Whether a training is at its end: all updates done, or nothing better for so long that it stops early.
    pub fn is_finished(&self, progress: &TrainProgress) -> bool {
        progress.step >= self.max_steps || self.should_stop_early(progress)
    }

    /// Whether the last validations, as many as there is patience for, found nothing better.
    fn should_stop_early(&self, progress: &TrainProgress) -> bool {
        let since = progress.best.map_or(0, |best| (progress.step - best.step) / self.val_every_n_steps);
        self.patience > 0 && since >= self.patience
    }

    /// Samples per update.
    fn samples(&self) -> usize {
        self.batch_size * self.gradient_accumulation_steps
    }
}

/// Everything that one training needs.
#[derive(Debug)]
pub struct TrainSetup {
    /// How the weights are found.
    pub config: TrainConfig,
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// How cases were prepared.
    pub preprocess: PreprocessConfig,
    /// How validation cases are covered.
    pub infer: InferConfig,
    /// Class names.
    pub classes: Vec<String>,
    /// The labels that the classes have in prepared cases.
    pub label_schema: LabelSchema,
    /// The classes' texts, those of single cases among them.
    pub texts: CaseTexts,
    /// Published weights to begin with.
    pub imported: Vec<PretrainedWeights>,
    /// Prepared cases to learn from.
    pub training_cases: Arc<Vec<CachedCase>>,
    /// Prepared cases to validate_and_keep_best by.
    pub validation_cases: Vec<CachedCase>,
    /// TrainState with all that a training needs to go on.
    pub last: PathBuf,
    /// Weights of the best validation.
    pub best: PathBuf,
    /// Wall-clock time after which the training stops early.
    pub time_budget: Option<Duration>,
    /// Threads that cut patches; they never change the result.
    pub workers: usize,
    /// Where to compute, without autodiff.
    pub device: Device,
}

/// All that is learned: the network, and one weight per loss.
#[derive(Module, Debug)]
pub struct TrainModule {
    /// The network.
    pub model: BiPvlSeg,
    /// Homoscedastic weights.
    pub loss_weights: LossWeights,
}

/// Whether a training begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With first weights drawn from the seed.
    Fresh,
    /// From the last checkpoint, to the same weights as without the interruption.
    Resume,
}

/// Trains until the planned steps or the time are used up; every event goes to `log`.
///
/// # Errors
///
/// When a checkpoint cannot be read or written, or a loss is not finite.
pub fn train(setup: &TrainSetup, start: Start, log: &mut dyn FnMut(TrainEvent)) -> Result<TrainState> {
    let began = Instant::now();
    let config = &setup.config;
    let mut state = match start {
        Start::Fresh => setup.first_state()?,
        Start::Resume => setup.saved_state()?,
    };
    let mut loader = Loader::new(Arc::clone(&setup.training_cases), setup.loader(), state.progress.step);
    while !config.is_finished(&state.progress) {
        let (_, samples) = loader.next().expect("a loader never ends");
        let event;
        (state, event) = update(setup, state, &samples)?;
        log(event);
        let step = state.progress.step;
        let out_of_time = setup.time_budget.is_some_and(|budget| began.elapsed() >= budget);
        if step == config.max_steps || step.is_multiple_of(config.val_every_n_steps) {
            log(validate_and_keep_best(setup, &mut state)?);
        }
        let is_finished = config.is_finished(&state.progress);
        if is_finished || out_of_time || step.is_multiple_of(config.checkpoint_every_n_steps) {
            state.save(&setup.last)?;
            log(TrainEvent::Checkpoint { step });
        }
        if is_finished && step < config.max_steps {
            log(TrainEvent::EarlyStopping {
                step,
                max_steps: config.max_steps,
                validations: config.patience,
            });
        } else if out_of_time && !is_finished {
            // Only for want of any weights to predict with, and after the checkpoint: a training that goes
            // on from there must not remember a validation that an uninterrupted one never made.
            if state.progress.best.is_none() {
                log(validate_and_keep_best(setup, &mut state)?);
            }
            log(TrainEvent::TimeBudgetExhausted { step, max_steps: config.max_steps });
            break;
        }
    }
    Ok(state)
}

/// One update of the weights.
fn update(setup: &TrainSetup, state: TrainState, samples: &[Sample]) -> Result<(TrainState, TrainEvent)> {
    let began = Instant::now();
    let TrainState { module, mut optimizer, mut progress } = state;
    let mut noise = DropoutRng::new(setup.config.seed, progress.step as u64);
    let mut sum: Option<GradientAccumulator> = None;
    for samples in samples.chunks(setup.config.batch_size) {
        let (loss, gradients) = training_step(setup, &module, samples, &mut noise);
        if !loss.total.is_finite() {
            let found = format!("{} at step {}; try a lower learning_rate", loss.total, progress.step + 1);
            return Err(Error::content(&setup.last, "a finite loss", found));
        }
        match &mut sum {
            Some(sum) => sum.add(&module, loss, &gradients),
            None => sum = Some(GradientAccumulator::new(loss, gradients)),
        }
    }
    let (loss, gradients) = sum.expect("an update has at least one batch").into_parts();
    let TrainConfig { learning_rate: peak, max_steps, warmup_steps, .. } = setup.config;
    let rate = learning_rate(peak, progress.step, max_steps, warmup_steps);
    let module = optimizer.step(module, gradients, rate);
    progress.step += 1;
    let epoch = progress.step * setup.config.samples() / setup.training_cases.len();
    let seconds = began.elapsed().as_secs_f64();
    let event = TrainEvent::Step { step: progress.step, epoch, learning_rate: rate, loss, seconds };
    Ok((TrainState { module, optimizer, progress }, event))
}

/// The losses of one batch, and its share in the gradients of an update.
fn training_step(
    setup: &TrainSetup,
    module: &TrainModule,
    samples: &[Sample],
    noise: &mut DropoutRng,
) -> (LossValues, Gradients) {
    let device = setup.autodiff();
    let batch = Batch::new(samples, &device);
    let output = module.model.forward(batch.image, &setup.text(samples, &device), Some(noise));
    let losses =
        LossTerms::compute(&output, batch.labels, &setup.label_schema, &setup.config.loss, Some(noise));
    let total = module.loss_weights.total(&losses, setup.config.loss.weighting);
    let loss = values(&losses, &total);
    // Nothing of the graph but what `total` holds on to may live on through the backward pass.
    drop((output, losses));
    let share = if setup.config.gradient_accumulation_steps > 1 {
        total / setup.config.gradient_accumulation_steps as f64
    } else {
        total
    };
    (loss, share.backward())
}

/// Validates, and keeps the weights when they are the best so far.
fn validate_and_keep_best(setup: &TrainSetup, state: &mut TrainState) -> Result<TrainEvent> {
    let validation = validate(state.module.model.valid(), setup);
    let (step, mean_dice) = (state.progress.step, validation.mean_dice());
    let best = state.progress.best.is_none_or(|best| mean_dice > best.mean_dice);
    if best {
        state.progress.best = Some(BestValidation { mean_dice, step });
        state.save_weights(&setup.best)?;
    }
    Ok(TrainEvent::Validation { step, mean_dice, dice: validation.dice, best })
}

fn values(losses: &LossTerms, total: &Tensor<1>) -> LossValues {
    let value = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
    LossValues {
        total: value(total),
        segmentation: value(&losses.segmentation),
        class_embedding: value(&losses.class_embedding),
        alignment: losses.alignment.as_ref().map_or(0.0, value),
    }
}

impl TrainSetup {
    /// The text of the cases that the samples are of.
    fn text(&self, samples: &[Sample], device: &Device) -> TextInput {
        let text = self.texts.batch(samples.iter().map(|sample| sample.case_id.as_str()));
        self.config.loss.select_text(TextInput::new(&text, device))
    }

    /// The device of everything that learns.
    fn autodiff(&self) -> Device {
        self.config.activation_checkpointing.autodiff(&self.device)
    }

    fn module(&self, mut init: Initializer) -> TrainModule {
        let channels = HeadConfig {
            num_classes: self.classes.len(),
            out_channels: self.label_schema.num_logit_channels(),
        };
        let model = self.model.init(channels, self.preprocess.patch_size, &mut init);
        TrainModule { model, loss_weights: LossWeights::new(&init) }
    }

    /// First weights: drawn from the seed, but for those that were published.
    fn first_state(&self) -> Result<TrainState> {
        let device = self.autodiff();
        let mut module = self.module(Initializer::new(self.config.seed, &device));
        for imported in &self.imported {
            module.model = load_state_dict_partial(module.model, imported.weights.clone(), &imported.source)?;
        }
        let optimizer = AdamW::new(self.config.optimizer);
        Ok(TrainState { module, optimizer, progress: TrainProgress::default() })
    }

    fn saved_state(&self) -> Result<TrainState> {
        let blank = self.module(Initializer::zeros(&self.autodiff()));
        TrainState::load(&self.last, blank, self.config.optimizer, &self.device)
    }

    fn loader(&self) -> LoaderConfig {
        LoaderConfig {
            patch_size: self.preprocess.patch_size,
            batch_size: self.config.samples(),
            workers: self.workers,
            seed: self.config.seed,
            oversample_foreground: self.config.oversample_foreground,
            augment: self.config.augment.clone(),
        }
    }
}
