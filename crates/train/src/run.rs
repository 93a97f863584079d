//! A run folder: what is where, and the trained model read back from it.

mod memory_budget;
mod folds;
mod case_prompts;

pub use folds::{Folds, run_dirs};
pub use memory_budget::{GB, within_budget};

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bipvl_io::atomic_write;
use burn::tensor::Device;

use crate::config::{Config, SPLIT_SEED};
use crate::{Error, Result};
use crate::{TrainSetup, checkpoint::load_model};
use bipvl_data::{Dataset, Fold, LabelSchema, Split, build_cache};
use bipvl_infer::{InferConfig, Predictor, PredictorInput};
use bipvl_nn::{
    BiPvlSeg, TextInput,
    init::Initializer,
    interop::{PretrainedConfig, PretrainedWeights},
};
use bipvl_text::{Descriptions, Tokenizer, Tokens};

/// A run: its folder, its configuration, and the text of its classes.
#[derive(Debug)]
pub struct RunDir {
    /// The folder.
    pub folder: PathBuf,
    /// The folder of the prepared cases; several runs may share one.
    pub cache: PathBuf,
    /// As the run was started.
    pub config: Config,
    /// The classes in words.
    pub descriptions: Descriptions,
    tokenizer: Tokenizer,
}

/// What a training needs besides the run itself.
#[derive(Debug)]
pub struct TrainOptions {
    /// Published weights to begin with.
    pub imported: Vec<PretrainedWeights>,
    /// Wall-clock time after which the training stops early.
    pub time_budget: Option<Duration>,
    /// Threads that cut patches.
    pub workers: usize,
    /// Where to compute.
    pub device: Device,
}

impl RunDir {
    /// Begins a run in a folder of its own. Imported weights bring their sizes, and a text encoder its
    /// tokenizer; without one the vocabulary is made of the descriptions, those `of_cases` among them.
    ///
    /// # Errors
    ///
    /// When the folder already holds a run, cannot be written to, or the imported sizes do not fit the data.
    pub fn create(
        folder: &Path,
        config: Config,
        descriptions: Descriptions,
        of_cases: &[Descriptions],
        imported: &[PretrainedWeights],
    ) -> Result<Self> {
        let run_config = folder.join("config.toml");
        if run_config.exists() {
            let expected = "a folder without a run; use --resume to go on with this one, or another --out";
            return Err(Error::content(folder, expected, "config.toml"));
        }
        let (config, tokenizer) = with_sizes(config, &descriptions, of_cases, imported)?;
        config.check(&run_config)?;
        if folder.is_file() {
            return Err(Error::content(folder, "a folder for the run", "a file"));
        }
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        tokenizer.save(folder)?;
        atomic_write(&folder.join("descriptions.toml"), descriptions.to_toml().as_bytes())?;
        atomic_write(&run_config, config.to_toml().as_bytes())?;
        Ok(Self::with(folder, config, descriptions, tokenizer))
    }

    /// Opens the run in a folder if it was begun with just these values, or begins it as [`Self::create`] does.
    ///
    /// # Errors
    ///
    /// When the folder holds a run of other values, and as [`Self::open`] and [`Self::create`].
    pub fn resume_or_create(
        folder: &Path,
        config: Config,
        descriptions: Descriptions,
        of_cases: &[Descriptions],
        imported: &[PretrainedWeights],
    ) -> Result<Self> {
        let path = folder.join("config.toml");
        if !path.exists() {
            return Self::create(folder, config, descriptions, of_cases, imported);
        }
        let run = Self::open(folder)?;
        let asked = with_sizes(config, &descriptions, of_cases, imported)?.0.to_toml();
        let begun = run.config.to_toml();
        if asked != begun {
            let mut lines = asked.lines().zip(begun.lines());
            let (asked, begun) = lines.find(|(asked, begun)| asked != begun).unwrap_or_default();
            let expected = format!("a run of {asked}; use another --out for other values");
            return Err(Error::content(&path, expected, begun));
        }
        if run.descriptions != descriptions {
            let expected = "the descriptions that are asked for; use another --out for others";
            return Err(Error::content(&folder.join("descriptions.toml"), expected, "others"));
        }
        Ok(run)
    }

    /// Opens a run folder.
    ///
    /// # Errors
    ///
    /// When one of its files cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.join("config.toml").is_file() {
            let found = match () {
                () if Folds::exists_in(folder) => "a cross-validation; its runs are fold-0, fold-1 and so on",
                () if folder.is_dir() => "a folder without it",
                () => "no such folder",
            };
            return Err(Error::content(folder, "the folder of a run, with config.toml in it", found));
        }
        let config = Config::read(&folder.join("config.toml"))?;
        let descriptions = Descriptions::read(&folder.join("descriptions.toml"))?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        Ok(Self::with(folder, config, descriptions, tokenizer))
    }

    fn with(folder: &Path, config: Config, descriptions: Descriptions, tokenizer: Tokenizer) -> Self {
        let tokenizer = tokenizer.with_max_tokens(config.model.text.max_position_embeddings);
        let (folder, cache) = (folder.to_owned(), folder.join("cache"));
        Self { folder, cache, config, descriptions, tokenizer }
    }

    /// A file or folder of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The checkpoint with everything that a training needs to go on.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.path("last.safetensors")
    }

    /// The weights of the best validation.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.path("best.safetensors")
    }

    /// The cases of a data set that train, those that validate and those that test.
    ///
    /// # Errors
    ///
    /// When the data set is not the run's, has other classes than when the run began, or one of both parts is
    /// empty.
    pub fn split(&self, dataset: &Dataset) -> Result<Split> {
        let data = &self.config.data;
        let refuse = |expected: String, found: String| {
            Err(Error::content(&dataset.layout.manifest_path(&dataset.root), expected, found))
        };
        // The data set was read with the run's classes, which would hide a change of its own.
        let recorded = data.source_schema.as_ref().unwrap_or(&data.label_schema);
        for (recorded, found) in
            [(&data.label_schema, &dataset.label_schema), (recorded, &dataset.source_schema)]
        {
            if recorded != found {
                let classes = |schema: &LabelSchema| {
                    format!("classes {:?} with labels {:?}", schema.names(), schema.label_sets())
                };
                let expected = format!("the {} that it had as the run began", classes(recorded));
                return refuse(expected, classes(found));
            }
        }
        let path = self.path("config.toml");
        let (index, count) = self.config.fold(&path)?;
        Ok(Split::new(dataset, &data.split, Fold { index, count }, SPLIT_SEED, &path)?)
    }

    /// Prepares the cases of a split and gathers all that the training needs; `progress` hears how many
    /// cases are prepared.
    ///
    /// # Errors
    ///
    /// When a case cannot be read or the cache not be written.
    pub fn train_setup(
        &self,
        dataset: &Dataset,
        split: &Split,
        options: TrainOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<TrainSetup> {
        let Config { data, preprocess, model, train, infer, .. } = self.config.clone();
        let training_cases = build_cache(&self.cache, &preprocess, dataset, &split.train, progress)?;
        let before = split.train.len();
        let validation_cases =
            build_cache(&self.cache, &preprocess, dataset, &split.val, &|done| progress(before + done))?;
        Ok(TrainSetup {
            texts: self.texts(split.train.iter().chain(&split.val))?,
            config: train,
            model,
            preprocess,
            infer,
            label_schema: data.label_schema.to_channel_indices(),
            classes: data.label_schema.names(),
            imported: options.imported,
            training_cases: Arc::new(training_cases),
            validation_cases,
            last: self.last_checkpoint(),
            best: self.best_checkpoint(),
            time_budget: options.time_budget,
            workers: options.workers,
            device: options.device,
        })
    }

    /// The trained model with its text, ready for volumes.
    ///
    /// # Errors
    ///
    /// When no checkpoint can be read.
    pub fn predictor(&self, infer: InferConfig, device: &Device) -> Result<Predictor> {
        let data = &self.config.data;
        Ok(Predictor::new(PredictorInput {
            model: self.model(device)?,
            text: &self.text(device),
            preprocess: self.config.preprocess.clone(),
            channels: data.channels.len(),
            label_schema: data.label_schema.clone(),
            config: infer,
            device: device.clone(),
        }))
    }

    /// The whole texts of the classes as the network reads them, `[classes, tokens]`.
    pub fn tokens(&self, texts: &[String]) -> Tokens {
        self.tokenizer.encode(texts)
    }

    /// How many of these texts are longer than what the network reads of them.
    pub fn count_truncated(&self, texts: &[String]) -> usize {
        texts.iter().filter(|text| self.tokenizer.truncates(text)).count()
    }

    /// One predictor of several runs: the logits of a patch are the mean over their networks.
    ///
    /// # Errors
    ///
    /// When a checkpoint cannot be read, or a run has not the classes and the preparation of the first.
    ///
    /// # Panics
    ///
    /// When there is no run.
    pub fn ensemble(runs: &[Self], infer: InferConfig, device: &Device) -> Result<Predictor> {
        let (first, others) = runs.split_first().expect("an ensemble has at least one run");
        let mut predictor = first.predictor(infer, device)?;
        for run in others {
            run.ensure_matches(first)?;
            predictor = predictor.with_ensemble_member(run.model(device)?, &run.text(device));
        }
        Ok(predictor)
    }

    /// Whether both runs see the same voxels and speak of the same classes.
    fn ensure_matches(&self, other: &Self) -> Result<()> {
        let (ours, theirs) = (&self.config, &other.config);
        let differs = [
            ("data.channels", ours.data.channels == theirs.data.channels),
            ("data.label_schema", ours.data.label_schema == theirs.data.label_schema),
            ("preprocess", ours.preprocess == theirs.preprocess),
        ];
        match differs.into_iter().find(|(_, is_same)| !is_same) {
            Some((key, _)) => {
                let expected = format!("the {key} of {}", other.path("config.toml").display());
                Err(Error::content(&self.path("config.toml"), expected, "another"))
            }
            None => Ok(()),
        }
    }

    /// The network with its best weights.
    ///
    /// # Errors
    ///
    /// When no checkpoint can be read.
    pub fn model(&self, device: &Device) -> Result<BiPvlSeg> {
        load_model(&self.best_checkpoint(), self.blank_model(device))
    }

    /// The network before its weights are read.
    fn blank_model(&self, device: &Device) -> BiPvlSeg {
        let Config { data, preprocess, model, .. } = &self.config;
        model.init(data.head_config(), preprocess.patch_size, &mut Initializer::zeros(device))
    }

    /// The text of the classes as the network reads it; without the concepts where nothing is aligned.
    pub fn text(&self, device: &Device) -> TextInput {
        let text = TextInput::new(&self.tokenizer.encode_classes(&self.descriptions), device);
        self.config.train.loss.select_text(text)
    }
}

/// A configuration with the sizes that imported weights bring, and the tokenizer that belongs to it.
fn with_sizes(
    mut config: Config,
    descriptions: &Descriptions,
    of_cases: &[Descriptions],
    imported: &[PretrainedWeights],
) -> Result<(Config, Tokenizer)> {
    let mut tokenizer = None;
    for PretrainedWeights { source, config: sizes, .. } in imported {
        match sizes {
            PretrainedConfig::Vision(vision) => config.model.vision = vision.clone(),
            PretrainedConfig::Text(text) => {
                let published = Tokenizer::from_folder(source)?;
                check_vocabulary(source, text.vocab_size, &published)?;
                config.model.text = text.clone();
                tokenizer = Some(published);
            }
        }
    }
    let tokenizer = tokenizer.unwrap_or_else(|| {
        let all = std::iter::once(descriptions).chain(of_cases);
        let classes = all.flat_map(|descriptions| descriptions.classes.clone()).collect();
        let tokenizer = Tokenizer::from_descriptions(&Descriptions { classes });
        config.model.text.vocab_size = tokenizer.vocab_size();
        tokenizer
    });
    Ok((config, tokenizer))
}

/// A tokenizer must not give ids beyond the embeddings.
fn check_vocabulary(folder: &Path, vocab_size: usize, tokenizer: &Tokenizer) -> Result<()> {
    let pieces = tokenizer.vocab_size();
    if pieces > vocab_size {
        let expected = format!("a tokenizer of at most {vocab_size} word pieces, as config.json says");
        return Err(Error::content(folder, expected, pieces.to_string()));
    }
    Ok(())
}
