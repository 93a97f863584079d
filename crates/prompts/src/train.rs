//! The training loop of the prompted form.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bipvl_nn::{
    BiPvlSegConfig, TokenBatch,
    init::{DropoutRng, Initializer},
    prompts::{EncodedPrompts, PromptSeg},
    weights::{StateDict, load_state_dict, load_state_dict_partial},
};
use bipvl_text::Tokenizer;
use bipvl_train::{
    Start, TrainConfig,
    checkpoint::{BestValidation, TrainProgress, TrainState},
    communicator::Communicator,
    gradient_accumulation::accumulate,
    gradient_sync::ensure_same_weights,
    loss::AlignmentLoss,
    optimizer::AdamW,
    schedule::learning_rate,
};
use burn::{
    module::Module,
    tensor::{Device, Gradients, Tensor},
};

use crate::{Error, Result};
use crate::{
    batch::{FrozenStageCache, PromptBatch, PromptSample},
    config::TextTraining,
    event::{PromptEvent, PromptLossValues},
    loader::{PromptSource, prompt_loader},
    loss::{PromptLossWeights, PromptLosses, halved},
    validate::{ValidationCase, validate},
};

/// A prompted training between two steps.
pub type PromptTrainState = TrainState<PromptModule>;

/// All that is trained: the network, and one weight per loss.
#[derive(Module, Debug)]
pub struct PromptModule {
    /// The network.
    pub model: PromptSeg,
    /// Homoscedastic weights.
    pub loss_weights: PromptLossWeights,
}

/// Everything that one prompted training needs.
#[derive(Debug)]
pub struct PromptSetup {
    /// Training hyper-parameters.
    pub config: TrainConfig,
    /// Sizes of the network.
    pub model: BiPvlSegConfig,
    /// Cases and prompts.
    pub source: Arc<PromptSource>,
    /// Cases that select the weights.
    pub validation: Vec<ValidationCase>,
    /// Cuts prompts into tokens.
    pub tokenizer: Tokenizer,
    /// Weights to begin with, by part of the network.
    pub pretrained: Vec<bipvl_nn::interop::PretrainedWeights>,
    /// All weights to begin with, and their file.
    pub initial: Option<(PathBuf, StateDict)>,
    /// How the text encoder is trained.
    pub text: TextTraining,
    /// Class index without loss.
    pub ignore: u8,
    /// Sliding-window overlap of the validation.
    pub overlap: f64,
    /// Checkpoint with the whole training state.
    pub last: PathBuf,
    /// Weights of the best validation.
    pub best: PathBuf,
    /// Wall-clock limit.
    pub time_budget: Option<Duration>,
    /// Threads that cut patches; they never change the result.
    pub workers: usize,
    /// Where to compute, without autodiff.
    pub device: Device,
    /// The processes that train together.
    pub communicator: Arc<dyn Communicator>,
}

/// Trains until the planned steps or the time are used up, or `on_event` breaks; every event goes to it.
///
/// # Errors
///
/// When a checkpoint cannot be read or written, or a loss is not finite.
pub fn train(
    setup: &PromptSetup,
    start: Start,
    on_event: &mut dyn FnMut(PromptEvent) -> ControlFlow<()>,
) -> Result<PromptTrainState> {
    let began = Instant::now();
    let config = &setup.config;
    let ranks = &*setup.communicator;
    let mut state = match start {
        Start::Fresh => setup.initial_state()?,
        Start::Resume => setup.saved_state()?,
    };
    if start == Start::Resume && state.progress.ranks != ranks.size() {
        let TrainProgress { step, ranks: before, .. } = state.progress;
        let _ = on_event(PromptEvent::RanksChanged { step, before, now: ranks.size() });
    }
    state.progress.ranks = ranks.size();
    let mut loader = prompt_loader(Arc::clone(&setup.source), setup.workers, state.progress.step);
    let mut cache = FrozenStageCache::default();
    while state.progress.step < config.max_steps {
        let (_, samples) = loader.next().expect("a loader never ends");
        let event;
        (state, event) = step(setup, state, &samples, &mut cache)?;
        let mut flow = on_event(event);
        let step = state.progress.step;
        let is_last = step == config.max_steps;
        if is_last || step.is_multiple_of(config.val_every_n_steps) {
            flow = flow_of(flow, on_event(select_best(setup, &mut state)?));
        }
        let is_out_of_time = ranks.any(setup.time_budget.is_some_and(|budget| began.elapsed() >= budget));
        let stops = is_out_of_time || ranks.any(flow.is_break());
        if is_last || stops || step.is_multiple_of(config.checkpoint_every_n_steps) {
            ensure_same_weights(ranks, &state)?;
            if ranks.is_main() {
                state.save(&setup.last)?;
            }
            flow = flow_of(flow, on_event(PromptEvent::Checkpoint { step }));
        }
        if stops && !is_last {
            if state.progress.best.is_none() {
                let _ = on_event(select_best(setup, &mut state)?);
            }
            let reason = if is_out_of_time { "time" } else { "interrupt" };
            let _ = on_event(PromptEvent::Stopped { step, steps: config.max_steps, reason });
            break;
        }
        if ranks.any(flow.is_break()) {
            break;
        }
    }
    Ok(state)
}

fn flow_of(one: ControlFlow<()>, other: ControlFlow<()>) -> ControlFlow<()> {
    if one.is_break() { one } else { other }
}

/// One optimizer step.
fn step(
    setup: &PromptSetup,
    state: PromptTrainState,
    samples: &[PromptSample],
    cache: &mut FrozenStageCache,
) -> Result<(PromptTrainState, PromptEvent)> {
    let began = Instant::now();
    let PromptTrainState { module, mut optimizer, mut progress } = state;
    let step = progress.step;
    let TrainConfig { batch_size, gradient_accumulation_steps: batches, .. } = setup.config;
    let first = batches * setup.communicator.rank();
    let num_prompts = samples.first().map_or(0, |sample| sample.prompts.len());
    let (loss, gradients) = accumulate(&setup.communicator, &module, batches, |module, batch| {
        let samples = &samples[(batch - first) * batch_size..][..batch_size];
        setup.forward_backward(module, samples, [step, batch], cache)
    });
    let loss = PromptLossValues::from(loss);
    if !loss.total.is_finite() {
        return Err(Error::Diverged { step: step + 1, loss: loss.total });
    }
    let TrainConfig { learning_rate: peak, max_steps, warmup_steps, .. } = setup.config;
    let rate = learning_rate(peak, step, max_steps, warmup_steps);
    let module = optimizer.step(module, gradients, rate);
    let seconds = began.elapsed().as_secs_f64();
    let event =
        PromptEvent::Step { step: step + 1, learning_rate: rate, prompts: num_prompts, loss, seconds };
    progress.step += 1;
    Ok((PromptTrainState { module, optimizer, progress }, event))
}

/// Validates, and keeps the weights when they are the best so far.
fn select_best(setup: &PromptSetup, state: &mut PromptTrainState) -> Result<PromptEvent> {
    let predictor = setup.predictor(state.module.model.valid());
    let vocabulary = setup.source.sampler.vocabulary();
    // Held-out phrases must not choose the weights.
    let sampler = &setup.source.sampler;
    let is_prompted = |concept| !sampler.is_held_out(concept);
    let ranks = &*setup.communicator;
    let validation = validate(&predictor, vocabulary, &setup.validation, is_prompted, setup.ignore, ranks);
    let mean_dice = validation.mean_dice();
    let best = state.progress.best.is_none_or(|best| mean_dice > best.mean_dice);
    if best {
        state.progress.best = Some(BestValidation { mean_dice, step: state.progress.step });
        if ranks.is_main() {
            state.save_weights(&setup.best)?;
        }
    }
    Ok(PromptEvent::Validation {
        step: state.progress.step,
        mean_dice,
        dice: validation.dice,
        false_alarms: validation.false_alarms,
        best,
    })
}

fn values(losses: &PromptLosses, total: &Tensor<1>) -> [f32; 5] {
    let value = |loss: &Tensor<1>| loss.clone().into_scalar::<f32>();
    [
        value(total),
        value(&losses.segmentation),
        value(&losses.class_embedding),
        losses.alignment.as_ref().map_or(0.0, value),
        losses.presence.as_ref().map_or(0.0, value),
    ]
}

impl PromptSetup {
    /// The losses of one batch of a step, and its contribution to the gradients of the step.
    fn forward_backward(
        &self,
        module: &PromptModule,
        samples: &[PromptSample],
        [step, batch]: [usize; 2],
        cache: &mut FrozenStageCache,
    ) -> ([f32; 5], Gradients) {
        let mut rng = DropoutRng::of_batch(self.config.seed, step as u64, batch as u64);
        let device = self.autodiff();
        let loss_config = &self.config.loss;
        let with_sentences = loss_config.alignment != AlignmentLoss::None;
        let vocabulary = self.source.sampler.vocabulary();
        let batch =
            PromptBatch::new(samples, vocabulary, &self.tokenizer, with_sentences, self.ignore, &device);
        let prompts = self.encode(&module.model, &batch, cache, &mut rng);
        let quarter = halved(halved(batch.target.masks.clone()));
        let output =
            module.model.forward(batch.image, &prompts, quarter, batch.sentences.as_ref(), Some(&mut rng));
        let share = step as f64 / self.config.max_steps as f64;
        let losses = PromptLosses::compute(&output, &batch.target, loss_config, share, Some(&mut rng));
        let total = module.loss_weights.total(&losses, loss_config.weighting);
        let values = values(&losses, &total);
        drop((output, losses));
        let batches = self.config.gradient_accumulation_steps * self.communicator.size();
        let scaled = if batches > 1 { total / batches as f64 } else { total };
        (values, scaled.backward())
    }

    fn autodiff(&self) -> Device {
        self.config.activation_checkpointing.autodiff(&self.device)
    }

    fn encode(
        &self,
        model: &PromptSeg,
        batch: &PromptBatch,
        cache: &mut FrozenStageCache,
        rng: &mut DropoutRng,
    ) -> EncodedPrompts {
        if !self.text.freeze_first_stage {
            return model.encode_prompts(&batch.tokens, batch.num_prompts, Some(rng));
        }
        let plain = model.valid();
        cache.encode(batch, |texts| {
            let tokens = self.tokenizer.encode(texts);
            let lengths: Vec<usize> = tokens
                .attention_mask
                .outer_iter()
                .map(|mask| mask.iter().filter(|real| **real).count())
                .collect();
            plain.encode_each(&TokenBatch::new(&tokens, &self.device), &lengths)
        })
    }

    fn predictor(&self, model: PromptSeg) -> crate::PromptPredictor {
        crate::PromptPredictor::new(
            model,
            self.tokenizer.clone(),
            self.source.patch_size,
            self.overlap,
            bipvl_infer::BlendMode::Gaussian,
            &self.device,
        )
    }

    fn module(&self, mut init: Initializer) -> PromptModule {
        let model = PromptSeg::new(&mut init, &self.model);
        PromptModule { model, loss_weights: PromptLossWeights::new(&init) }
    }

    /// Weights drawn from the seed, but for those that were pretrained.
    fn initial_state(&self) -> Result<PromptTrainState> {
        let mut module = self.module(Initializer::new(self.config.seed, &self.autodiff()));
        for pretrained in &self.pretrained {
            module.model =
                load_state_dict_partial(module.model, pretrained.weights.clone(), &pretrained.source)?;
        }
        if let Some((path, weights)) = &self.initial {
            module.model = load_state_dict(module.model, weights.clone(), path)?;
        }
        Ok(PromptTrainState {
            module,
            optimizer: self.with_rate_factor(AdamW::new(self.config.optimizer)),
            progress: TrainProgress::default(),
        })
    }

    fn saved_state(&self) -> Result<PromptTrainState> {
        let zeros = self.module(Initializer::zeros(&self.autodiff()));
        let mut state = PromptTrainState::load(&self.last, zeros, self.config.optimizer, &self.device)?;
        state.optimizer = self.with_rate_factor(state.optimizer);
        Ok(state)
    }

    fn with_rate_factor(&self, optimizer: AdamW) -> AdamW {
        optimizer.with_rate_factor("model.text_encoder", self.text.learning_rate_factor)
    }
}
