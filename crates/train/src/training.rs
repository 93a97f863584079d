//! The training loop: step, validation and checkpoint in one function.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use bipvl_data::{Batch, Loader, Sample};
use bipvl_nn::init::DropoutRng;
use burn::{
    module::Module as _,
    tensor::{Gradients, Tensor},
};

use crate::{
    Error, Result, TrainConfig, TrainModule, TrainSetup,
    checkpoint::{BestValidation, TrainState},
    communicator::Communicator,
    event::{LossValues, TrainEvent},
    gradient_accumulation::accumulate,
    gradient_sync::ensure_same_weights,
    loss::LossTerms,
    schedule::learning_rate,
    validation::score_validation_cases,
};

/// Whether a training starts or continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From initial weights.
    Fresh,
    /// From the last checkpoint; the result is bit-identical to an uninterrupted training.
    Resume,
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// All steps are done.
    MaxSteps,
    /// No validation improved for `patience` validations.
    EarlyStopping,
    /// The time budget is used up; the training can be resumed.
    TimeBudget,
    /// A callback returned [`ControlFlow::Break`]; the training can be resumed.
    Interrupted,
}

/// The end of a training.
#[derive(Debug)]
pub struct TrainOutcome {
    /// Weights, optimizer and progress.
    pub state: TrainState,
    /// Why it ended.
    pub reason: StopReason,
}

/// Trains until all steps are done, no validation improves any more, the time is used up, or `on_event` breaks.
///
/// After a break the training ends with a checkpoint at the end of the current step; a validation is cancelled and
/// made up for when the training is resumed.
///
/// # Errors
///
/// When a checkpoint cannot be read or written, or a loss is not finite.
pub fn train(
    setup: &TrainSetup,
    start: Start,
    on_event: &mut dyn FnMut(TrainEvent) -> ControlFlow<()>,
) -> Result<TrainOutcome> {
    let began = Instant::now();
    let config = &setup.config;
    let max_steps = config.max_steps;
    let mut state = match start {
        Start::Fresh => setup.initial_state()?,
        Start::Resume => setup.saved_state()?,
    };
    let ranks = setup.communicator.size();
    if start == Start::Resume && state.progress.ranks != ranks {
        let before = state.progress.ranks;
        let _ = on_event(TrainEvent::RanksChanged { step: state.progress.step, before, now: ranks });
    }
    state.progress.ranks = ranks;
    let mut loader = Loader::of_cases(Arc::clone(&setup.training_cases), setup.loader(), state.progress.step);
    loop {
        if let Some(reason) = config.stop_reason(&state.progress) {
            return Ok(TrainOutcome { state, reason });
        }
        let communicator = &*setup.communicator;
        let mut flow = ControlFlow::Continue(());
        if !state.progress.validation_pending {
            let (_, samples) = loader.next().expect("a loader never ends");
            let event;
            (state, event) = training_step(setup, state, &samples)?;
            flow = agreed(communicator, on_event(event));
            state.progress.validation_pending = config.is_validation_step(state.progress.step);
        }
        if state.progress.validation_pending && flow.is_continue() {
            flow = validate(setup, &mut state, on_event)?;
        }
        let step = state.progress.step;
        let is_finished = config.is_finished(&state.progress);
        let out_of_time = communicator.any(is_out_of_time(setup.time_budget, began));
        if is_finished || out_of_time || flow.is_break() || step % config.checkpoint_every_n_steps == 0 {
            ensure_same_weights(communicator, &state)?;
            if communicator.is_main() {
                state.save(&setup.last)?;
            }
            if agreed(communicator, on_event(TrainEvent::Checkpoint { step })).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        if is_finished && step < max_steps {
            let _ = on_event(TrainEvent::EarlyStopping { step, max_steps, validations: config.patience });
        } else if !is_finished && flow.is_break() {
            let _ = on_event(TrainEvent::Interrupted { step, max_steps });
            return Ok(TrainOutcome { state, reason: StopReason::Interrupted });
        } else if !is_finished && out_of_time {
            // Only if there are no weights to predict with, and after the checkpoint, which must not contain a
            // validation that an uninterrupted training does not make.
            if state.progress.best.is_none() {
                let _ = validate(setup, &mut state, on_event)?;
            }
            let _ = on_event(TrainEvent::TimeBudgetExhausted { step, max_steps });
            return Ok(TrainOutcome { state, reason: StopReason::TimeBudget });
        }
    }
}

fn is_out_of_time(budget: Option<Duration>, began: Instant) -> bool {
    budget.is_some_and(|budget| began.elapsed() >= budget)
}

/// A break where any rank wants one.
fn agreed(communicator: &dyn Communicator, flow: ControlFlow<()>) -> ControlFlow<()> {
    if communicator.any(flow.is_break()) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// One optimizer step.
fn training_step(
    setup: &TrainSetup,
    state: TrainState,
    samples: &[Sample],
) -> Result<(TrainState, TrainEvent)> {
    let began = Instant::now();
    let TrainState { module, mut optimizer, mut progress } = state;
    let TrainConfig { seed, batch_size, gradient_accumulation_steps: batches, .. } = setup.config;
    let first = batches * setup.communicator.rank();
    let (loss, gradients) = accumulate(&setup.communicator, &module, batches, |module, batch| {
        let mut rng = DropoutRng::of_batch(seed, progress.step as u64, batch as u64);
        let samples = &samples[(batch - first) * batch_size..][..batch_size];
        forward_backward(setup, module, samples, &mut rng)
    });
    let loss = LossValues::from(loss);
    if !loss.total.is_finite() {
        return Err(Error::NonFiniteLoss { step: progress.step + 1, loss: loss.total });
    }
    let TrainConfig { learning_rate: peak, max_steps, warmup_steps, .. } = setup.config;
    let rate = learning_rate(peak, progress.step, max_steps, warmup_steps);
    let module = optimizer.step(module, gradients, rate);
    progress.step += 1;
    let samples_per_step = setup.config.samples_per_step() * setup.communicator.size();
    let epoch = progress.step * samples_per_step / setup.training_cases.len();
    let seconds = began.elapsed().as_secs_f64();
    let event = TrainEvent::Step { step: progress.step, epoch, learning_rate: rate, loss, seconds };
    Ok((TrainState { module, optimizer, progress }, event))
}

/// The losses of one batch, and its contribution to the gradients of the step.
fn forward_backward(
    setup: &TrainSetup,
    module: &TrainModule,
    samples: &[Sample],
    rng: &mut DropoutRng,
) -> ([f32; 4], Gradients) {
    let device = setup.autodiff();
    let batch = Batch::new(samples, &device);
    let output = module.model.forward(batch.image, &setup.text(samples, &device), Some(rng));
    let losses =
        LossTerms::compute(&output, batch.labels, &setup.label_schema, &setup.config.loss, Some(rng));
    let total = module.loss_weights.total(&losses, setup.config.loss.weighting);
    let values = loss_values(&losses, &total);
    // Frees everything of the graph that `total` does not hold before the backward pass.
    drop((output, losses));
    let steps = setup.config.gradient_accumulation_steps * setup.communicator.size();
    let scaled = if steps > 1 { total / steps as f64 } else { total };
    (values, scaled.backward())
}

/// Validates, and saves the weights if they are the best so far; a break cancels it.
fn validate(
    setup: &TrainSetup,
    state: &mut TrainState,
    on_event: &mut dyn FnMut(TrainEvent) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let step = state.progress.step;
    let cases = setup.validation_cases.len();
    let scores = score_validation_cases(state.module.model.valid(), setup, &mut |case, progress| {
        let (patch, patches) = (progress.done, progress.total);
        on_event(TrainEvent::ValidationProgress { step, case, cases, patch, patches })
    });
    let Some(scores) = scores else { return Ok(ControlFlow::Break(())) };
    let mean_dice = scores.mean_dice();
    let best = state.progress.best.is_none_or(|best| mean_dice > best.mean_dice);
    state.progress.validation_pending = false;
    if best {
        state.progress.best = Some(BestValidation { mean_dice, step });
        if setup.communicator.is_main() {
            state.save_weights(&setup.best)?;
        }
    }
    let flow = on_event(TrainEvent::Validation { step, mean_dice, dice: scores.dice, best });
    Ok(agreed(&*setup.communicator, flow))
}

fn loss_values(losses: &LossTerms, total: &Tensor<1>) -> [f32; 4] {
    let value = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
    let alignment = losses.alignment.as_ref().map_or(0.0, value);
    [value(total), value(&losses.segmentation), value(&losses.class_embedding), alignment]
}
