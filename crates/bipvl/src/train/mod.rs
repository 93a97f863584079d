//! From batches to weights.

pub mod checkpoint;
pub mod log;
pub mod loss;
pub mod optimizer;
pub mod schedule;
pub mod validate;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    data::{AugmentConfig, Batch, CachedCase, Loader, LoaderConfig, Recipe, Sample},
    error::{Error, Result},
    infer::InferConfig,
    model::{
        BiPvlSeg, BiPvlSegConfig, TextInput,
        init::{Initializer, Noise},
        published::Imported,
        weights::fill,
    },
    text::CaseTexts,
};
use checkpoint::Checkpoint;
use log::{Event, LossValues};
use loss::{LossConfig, LossWeights, Losses};
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
    pub steps: usize,
    /// Samples per update.
    pub batch: usize,
    /// Highest learning rate; it falls to zero as a cosine.
    pub learning_rate: f64,
    /// Updates during which the rate rises to it.
    pub warmup_steps: usize,
    /// Updates between two validations.
    pub validate_every: usize,
    /// Updates between two checkpoints.
    pub checkpoint_every: usize,
    /// Share of patches centered on a class.
    pub foreground_share: f64,
    /// Constants of the optimizer.
    pub optimizer: AdamWConfig,
    /// Forms of the losses.
    #[serde(default)]
    pub loss: LossConfig,
    /// How patches are varied.
    pub augment: AugmentConfig,
}

/// Everything that one training needs.
#[derive(Debug)]
pub struct Task {
    /// How the weights are found.
    pub config: TrainConfig,
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// How cases were prepared.
    pub recipe: Recipe,
    /// How validation cases are covered.
    pub infer: InferConfig,
    /// Class names.
    pub classes: Vec<String>,
    /// The classes' texts, those of single cases among them.
    pub texts: CaseTexts,
    /// Published weights to begin with.
    pub imported: Vec<Imported>,
    /// Prepared cases to learn from.
    pub training_cases: Arc<Vec<CachedCase>>,
    /// Prepared cases to judge by.
    pub validation_cases: Vec<CachedCase>,
    /// Checkpoint with all that a training needs to go on.
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
pub struct Trainee {
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
pub fn train(task: &Task, start: Start, log: &mut dyn FnMut(Event)) -> Result<Checkpoint> {
    let began = Instant::now();
    let config = &task.config;
    let mut state = match start {
        Start::Fresh => task.first_state()?,
        Start::Resume => task.saved_state()?,
    };
    let mut loader = Loader::new(Arc::clone(&task.training_cases), task.loader(), state.step);
    while state.step < config.steps {
        let (_, samples) = loader.next().expect("a loader never ends");
        let event;
        (state, event) = update(task, state, &samples)?;
        log(event);
        let out_of_time = task.time_budget.is_some_and(|budget| began.elapsed() >= budget);
        let is_last = state.step == config.steps;
        if is_last || state.step.is_multiple_of(config.validate_every) {
            log(judge(task, &mut state)?);
        }
        if is_last || out_of_time || state.step.is_multiple_of(config.checkpoint_every) {
            state.save(&task.last)?;
            log(Event::Checkpoint { step: state.step });
        }
        if out_of_time && !is_last {
            // Only for want of any weights to predict with, and after the checkpoint: a training that goes
            // on from there must not remember a validation that an uninterrupted one never made.
            if state.best_dice.is_none() {
                log(judge(task, &mut state)?);
            }
            log(Event::OutOfTime { step: state.step, steps: config.steps });
            break;
        }
    }
    Ok(state)
}

/// One update of the weights.
fn update(task: &Task, state: Checkpoint, samples: &[Sample]) -> Result<(Checkpoint, Event)> {
    let began = Instant::now();
    let Checkpoint { trainee, mut optimizer, step, best_dice } = state;
    let device = task.device.clone().autodiff();
    let batch = Batch::new(samples, &device);
    let text = task.texts.of_batch(samples.iter().map(|sample| sample.case.as_str()));
    let text = TextInput::new(&text, &device);
    let mut noise = Noise::new(task.config.seed, step as u64);
    let output = trainee.model.forward(batch.image, &text, Some(&mut noise));
    let losses = Losses::of(&output, batch.labels, &task.config.loss, Some(&mut noise));
    let total = trainee.loss_weights.total(&losses, task.config.loss.weighting);
    let loss = values(&losses, &total);
    if !loss.total.is_finite() {
        let found = format!("{} at step {}; try a lower learning_rate", loss.total, step + 1);
        return Err(Error::content(&task.last, "a finite loss", found));
    }
    // Nothing of the graph but what `total` holds on to may live on through the backward pass.
    drop((output, losses));
    let rate = learning_rate(task.config.learning_rate, step, task.config.steps, task.config.warmup_steps);
    let trainee = optimizer.step(trainee, &total.backward(), rate);
    let step = step + 1;
    let epoch = step * task.config.batch / task.training_cases.len();
    let seconds = began.elapsed().as_secs_f64();
    let event = Event::Step { step, epoch, learning_rate: rate, loss, seconds };
    Ok((Checkpoint { trainee, optimizer, step, best_dice }, event))
}

/// Validates, and keeps the weights when they are the best so far.
fn judge(task: &Task, state: &mut Checkpoint) -> Result<Event> {
    let validation = validate(state.trainee.model.valid(), task);
    let mean_dice = validation.mean_dice();
    let best = state.best_dice.is_none_or(|best| mean_dice > best);
    if best {
        state.best_dice = Some(mean_dice);
        state.save_weights(&task.best)?;
    }
    Ok(Event::Validation { step: state.step, mean_dice, dice: validation.dice, best })
}

fn values(losses: &Losses, total: &Tensor<1>) -> LossValues {
    let value = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
    LossValues {
        total: value(total),
        segmentation: value(&losses.segmentation),
        class_embedding: value(&losses.class_embedding),
        alignment: value(&losses.alignment),
    }
}

impl Task {
    fn trainee(&self, mut init: Initializer) -> Trainee {
        let model = self.model.init(self.classes.len(), self.recipe.patch, &mut init);
        Trainee { model, loss_weights: LossWeights::new(&init) }
    }

    /// First weights: drawn from the seed, but for those that were published.
    fn first_state(&self) -> Result<Checkpoint> {
        let device = self.device.clone().autodiff();
        let mut trainee = self.trainee(Initializer::new(self.config.seed, &device));
        for imported in &self.imported {
            trainee.model = fill(trainee.model, imported.weights.clone(), &imported.source)?;
        }
        let optimizer = AdamW::new(self.config.optimizer);
        Ok(Checkpoint { trainee, optimizer, step: 0, best_dice: None })
    }

    fn saved_state(&self) -> Result<Checkpoint> {
        let blank = self.trainee(Initializer::blank(&self.device.clone().autodiff()));
        Checkpoint::load(&self.last, blank, self.config.optimizer, &self.device)
    }

    fn loader(&self) -> LoaderConfig {
        LoaderConfig {
            patch: self.recipe.patch,
            batch: self.config.batch,
            workers: self.workers,
            seed: self.config.seed,
            foreground_share: self.config.foreground_share,
            augment: self.config.augment.clone(),
        }
    }
}
