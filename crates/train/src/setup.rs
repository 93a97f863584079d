//! The inputs of a training, and its trainable module.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bipvl_data::{CachedCase, LabelSchema, LoaderConfig, PreprocessConfig, Sample};
use bipvl_infer::{InferConfig, head_config};
use bipvl_nn::{
    BiPvlSeg, BiPvlSegConfig, TextInput, init::Initializer, interop::PretrainedWeights,
    weights::load_state_dict_partial,
};
use bipvl_text::CaseTexts;
use burn::{module::Module, tensor::Device};

use crate::{
    Result, TrainConfig,
    checkpoint::{TrainProgress, TrainState},
    communicator::Communicator,
    loss::LossWeights,
    optimizer::AdamW,
};

/// Everything that a training needs.
#[derive(Debug)]
pub struct TrainSetup {
    /// Hyperparameters.
    pub config: TrainConfig,
    /// Architecture.
    pub model: BiPvlSegConfig,
    /// Preprocessing of the cases.
    pub preprocess: PreprocessConfig,
    /// Sliding window of the validation.
    pub infer: InferConfig,
    /// The classes, with labels as in preprocessed cases.
    pub label_schema: LabelSchema,
    /// The tokenized text of the classes, per case where it has its own.
    pub texts: CaseTexts,
    /// Pretrained weights to initialize from.
    pub pretrained: Vec<PretrainedWeights>,
    /// Preprocessed training cases.
    pub training_cases: Arc<Vec<CachedCase>>,
    /// Preprocessed validation cases.
    pub validation_cases: Vec<CachedCase>,
    /// The checkpoint to resume from.
    pub last: PathBuf,
    /// The weights of the best validation.
    pub best: PathBuf,
    /// Wall-clock time after which the training stops.
    pub time_budget: Option<Duration>,
    /// Threads of the data loader; the result does not depend on them.
    pub workers: usize,
    /// The device, without autodiff.
    pub device: Device,
    /// The processes that train together.
    pub communicator: Arc<dyn Communicator>,
}

/// The trainable parameters: the network, and one weight per loss.
#[derive(Module, Debug)]
pub struct TrainModule {
    /// The network.
    pub model: BiPvlSeg,
    /// Homoscedastic loss weights.
    pub loss_weights: LossWeights,
}

impl TrainSetup {
    /// The text of the cases of a batch.
    pub(crate) fn text(&self, samples: &[Sample], device: &Device) -> TextInput {
        let text = self.texts.batch(samples.iter().map(|sample| sample.case_id.as_str()));
        self.config.loss.select_text(TextInput::new(&text, device))
    }

    /// The device with autodiff.
    pub(crate) fn autodiff(&self) -> Device {
        self.config.activation_checkpointing.autodiff(&self.device)
    }

    fn module(&self, mut init: Initializer) -> TrainModule {
        let head = head_config(&self.label_schema);
        let model = self.model.init(head, self.preprocess.patch_size, &mut init);
        TrainModule { model, loss_weights: LossWeights::new(&init) }
    }

    /// Random weights from the seed, and pretrained ones where there are any.
    pub(crate) fn initial_state(&self) -> Result<TrainState> {
        let mut module = self.module(Initializer::new(self.config.seed, &self.autodiff()));
        for pretrained in &self.pretrained {
            module.model =
                load_state_dict_partial(module.model, pretrained.weights.clone(), &pretrained.source)?;
        }
        let optimizer = AdamW::new(self.config.optimizer);
        Ok(TrainState { module, optimizer, progress: TrainProgress::default() })
    }

    /// The state of the last checkpoint.
    pub(crate) fn saved_state(&self) -> Result<TrainState> {
        let module = self.module(Initializer::zeros(&self.autodiff()));
        TrainState::load(&self.last, module, self.config.optimizer, &self.device)
    }

    pub(crate) fn loader(&self) -> LoaderConfig {
        LoaderConfig {
            patch_size: self.preprocess.patch_size,
            batch_size: self.config.samples_per_step() * self.communicator.size(),
            share: Some(self.config.samples_of_rank(&*self.communicator)),
            workers: self.workers,
            seed: self.config.seed,
            oversample_foreground: self.config.oversample_foreground,
            augment: self.config.augment.clone(),
        }
    }
}
