//! Run directories: what a training writes, and what it can be resumed from.

mod case_prompts;
mod cross_validation;
mod lock;
mod memory_budget;
mod spec;
mod split;

pub use cross_validation::{CrossValidation, FoldRun};
pub use lock::RunLock;
pub use memory_budget::{GB, MemoryBudget};
pub use spec::{RunSpec, apply_pretrained};

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bipvl_data::{Dataset, Split, build_cache, classes_without_voxels};
use bipvl_infer::TrainedModel;
use bipvl_io::atomic_write;
use bipvl_nn::BiPvlSeg;
use bipvl_text::Descriptions;
use burn::tensor::Device;

use crate::{
    Error, Result, Start, TrainSetup,
    checkpoint::read_progress,
    communicator::{Communicator, SingleProcess},
    config::Config,
    loss::AlignmentLoss,
};

/// A run directory.
#[derive(Debug)]
pub struct RunDir {
    /// What prediction needs of the run.
    pub model: TrainedModel,
    /// The configuration.
    pub config: Config,
    /// The directory of the preprocessed cases; runs may share one.
    pub cache: PathBuf,
}

/// Options of a training that do not change its result.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Wall-clock time after which the training stops.
    pub time_budget: Option<Duration>,
    /// Threads of the data loader.
    pub workers: usize,
    /// The device.
    pub device: Device,
    /// The processes that train together.
    pub communicator: Arc<dyn Communicator>,
}

impl TrainOptions {
    /// Without a limit of time, in one process, with one thread of the data loader.
    pub fn new(device: Device) -> Self {
        Self { time_budget: None, workers: 1, device, communicator: Arc::new(SingleProcess) }
    }
}

impl RunDir {
    /// Creates a run. The configuration, the split and the test cases are checked before anything is written.
    ///
    /// # Errors
    ///
    /// When the directory already has a run or cannot be written to, or a value, the split or a case is invalid.
    pub fn create(dir: &Path, spec: &RunSpec, dataset: &Dataset) -> Result<Self> {
        let config_path = dir.join("config.toml");
        if config_path.exists() {
            return Err(Error::RunExists { dir: dir.to_owned() });
        }
        if dir.is_file() {
            return Err(Error::NotADirectory { path: dir.to_owned() });
        }
        let (config, tokenizer) = spec.resolve()?;
        let source = spec.source.as_ref().unwrap_or(&config_path);
        config.validate(source)?;
        let split = split::draw_split(&config, dataset, source)?;
        fs::create_dir_all(dir).map_err(|reason| Error::io(dir, reason))?;
        tokenizer.save(dir)?;
        atomic_write(&dir.join("descriptions.toml"), spec.descriptions.to_toml().as_bytes())?;
        split.ids().write(&dir.join(split::FILE))?;
        // Last, because it marks the directory as a run.
        atomic_write(&config_path, config.to_toml().as_bytes())?;
        let model =
            TrainedModel::from_parts(dir, config.model_config(), spec.descriptions.clone(), tokenizer);
        Ok(Self { model, config, cache: dir.join("cache") })
    }

    /// Opens the run if it was created with the same configuration and descriptions, or else creates it.
    ///
    /// # Errors
    ///
    /// When the run was created differently ([`Error::RunMismatch`], [`Error::DescriptionsMismatch`]), and as
    /// [`Self::open`] and [`Self::create`].
    pub fn resume_or_create(dir: &Path, spec: &RunSpec, dataset: &Dataset) -> Result<Self> {
        if !dir.join("config.toml").exists() {
            return Self::create(dir, spec, dataset);
        }
        let run = Self::open(dir)?;
        let (requested, _) = spec.resolve()?;
        ensure_same_config(&run.path("config.toml"), &run.config, &requested)?;
        ensure_same_descriptions(
            &run.path("descriptions.toml"),
            &run.model.descriptions,
            &spec.descriptions,
        )?;
        Ok(run)
    }

    /// Opens a run.
    ///
    /// # Errors
    ///
    /// When it is not a run directory, or one of its files is missing or invalid.
    pub fn open(dir: &Path) -> Result<Self> {
        let model = TrainedModel::open(dir)?;
        let config = Config::read(&dir.join("config.toml"))?;
        Ok(Self { model, config, cache: dir.join("cache") })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.model.dir
    }

    /// A file or subdirectory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.model.path(name)
    }

    /// The checkpoint to resume from.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path("last.safetensors")
    }

    /// How to start the training: from the last checkpoint if there is one, or else from step 0.
    pub fn start(&self) -> Start {
        if self.last_checkpoint().exists() { Start::Resume } else { Start::Fresh }
    }

    /// Number of training steps in the last checkpoint; 0 without one.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be read.
    pub fn trained_steps(&self) -> Result<usize> {
        match self.start() {
            Start::Fresh => Ok(0),
            Start::Resume => Ok(read_progress(&self.last_checkpoint())?.step),
        }
    }

    /// Whether the training is finished.
    ///
    /// # Errors
    ///
    /// When the checkpoint cannot be read.
    pub fn is_trained(&self) -> Result<bool> {
        let last = self.last_checkpoint();
        Ok(last.exists() && self.config.train.is_finished(&read_progress(&last)?))
    }

    /// Number of learned parameters that the training changes, in a network of this run: those of the text encoder
    /// and of the alignment heads count only where a loss or a fusion block reads their output.
    pub fn trained_parameters(&self, network: &BiPvlSeg) -> usize {
        let direction = self.config.model.fusion.direction;
        let is_aligned = self.config.train.loss.alignment != AlignmentLoss::None;
        let is_fused = direction.updates_text() || direction.updates_vision();
        let is_used = |block: &str| match block {
            "alignment" => is_aligned,
            "text_encoder" => is_aligned || is_fused,
            _ => true,
        };
        let blocks = network.parameters().into_iter();
        blocks.filter(|(block, _)| is_used(block)).map(|(_, parameters)| parameters).sum()
    }

    /// Preprocesses the cases of the split and collects the inputs of the training. `on_progress` gets the number of
    /// preprocessed cases; a break cancels.
    ///
    /// # Errors
    ///
    /// When a case or the pretrained weights cannot be read, the cache cannot be written, or `on_progress` breaks.
    pub fn train_setup(
        &self,
        dataset: &Dataset,
        split: &Split,
        options: TrainOptions,
        on_progress: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
    ) -> Result<TrainSetup> {
        let Config { data, preprocess, model, train, infer, pretrained, .. } = self.config.clone();
        let pretrained = match self.start() {
            Start::Fresh => pretrained.load(data.label_schema.num_logit_channels())?,
            Start::Resume => Vec::new(),
        };
        let training_cases = build_cache(&self.cache, &preprocess, dataset, &split.train, on_progress)?;
        let before = split.train.len();
        let on_val_progress = |done| on_progress(before + done);
        let validation_cases = build_cache(&self.cache, &preprocess, dataset, &split.val, &on_val_progress)?;
        let setup = TrainSetup {
            texts: self.case_texts(split.train.iter().chain(&split.val))?,
            config: train,
            model,
            preprocess,
            infer,
            label_schema: data.label_schema.to_channel_indices(),
            pretrained,
            training_cases: Arc::new(training_cases),
            validation_cases,
            last: self.last_checkpoint(),
            best: self.model.best_checkpoint(),
            time_budget: options.time_budget,
            workers: options.workers,
            device: options.device,
            communicator: options.communicator,
        };
        let missing = classes_without_voxels(&setup.training_cases, &data.label_schema);
        if missing.len() == data.label_schema.num_classes() {
            return Err(Error::NoForeground { fold: data.fold.clone() });
        }
        for class in missing {
            tracing::warn!("class \"{class}\" has no voxel in the training cases of fold {}", data.fold);
        }
        for class in classes_without_voxels(&setup.validation_cases, &data.label_schema) {
            tracing::warn!("class \"{class}\" has no voxel in the validation cases of fold {}", data.fold);
        }
        Ok(setup)
    }
}

/// Compares line by line, because every key is one line of the TOML file.
fn ensure_same_config(path: &Path, of_run: &Config, requested: &Config) -> Result<()> {
    let (of_run, requested) = (of_run.to_toml(), requested.to_toml());
    if of_run == requested {
        return Ok(());
    }
    let mut lines = of_run.lines().zip(requested.lines());
    let (found, requested) = lines.find(|(found, requested)| found != requested).unwrap_or_default();
    let value = |line: &str| line.split_once(" = ").map_or(line, |(_, value)| value).to_owned();
    let key = found.split_once(" = ").map_or(found, |(key, _)| key).to_owned();
    let (found, requested) = (value(found), value(requested));
    Err(Error::RunMismatch { path: path.to_owned(), key, found, requested })
}

fn ensure_same_descriptions(path: &Path, of_run: &Descriptions, requested: &Descriptions) -> Result<()> {
    if of_run == requested {
        return Ok(());
    }
    let mut classes = of_run.classes.iter().zip(&requested.classes);
    let differs = classes.find(|(a, b)| a != b).map(|(class, _)| class.class.clone());
    Err(Error::DescriptionsMismatch { path: path.to_owned(), class: differs.unwrap_or_default() })
}
