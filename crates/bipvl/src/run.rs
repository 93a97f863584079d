//! A run folder: what is where, and the trained model read back from it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bipvl_volume::replace_file;
use burn::tensor::Device;

use crate::{
    config::{Config, SPLIT_SEED},
    data::{Case, Dataset, Split, build_cache, fold},
    error::{Error, Result},
    infer::{InferConfig, Predictor, PredictorInput},
    model::{
        BiPvlSeg, TextInput,
        init::Initializer,
        published::{Imported, Sizes},
    },
    text::{CaseTexts, ClassText, Descriptions, Tokenizer},
    train::{Task, checkpoint::load_model},
};

/// A run: its folder, its configuration, and the text of its classes.
#[derive(Debug)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// As the run was started.
    pub config: Config,
    /// The classes in words.
    pub descriptions: Descriptions,
    tokenizer: Tokenizer,
}

/// What a training needs besides the run itself.
#[derive(Debug)]
pub struct TrainingOptions {
    /// Published weights to begin with.
    pub imported: Vec<Imported>,
    /// Wall-clock time after which the training stops early.
    pub time_budget: Option<Duration>,
    /// Threads that cut patches.
    pub workers: usize,
    /// Where to compute.
    pub device: Device,
}

impl Run {
    /// Begins a run in a folder of its own. Imported weights bring their sizes, and a text encoder its
    /// tokenizer; without one the vocabulary is made of the descriptions, those `of_cases` among them.
    ///
    /// # Errors
    ///
    /// When the folder already holds a run, cannot be written to, or the imported sizes do not fit the data.
    pub fn create(
        folder: &Path,
        mut config: Config,
        descriptions: Descriptions,
        of_cases: &[Descriptions],
        imported: &[Imported],
    ) -> Result<Self> {
        let run_config = folder.join("config.toml");
        if run_config.exists() {
            let expected = "a folder without a run; use --resume to go on with this one, or another --out";
            return Err(Error::content(folder, expected, "config.toml"));
        }
        let mut tokenizer = None;
        for Imported { source, sizes, .. } in imported {
            match sizes {
                Sizes::Vision(vision) => config.model.vision = vision.clone(),
                Sizes::Text(text) => {
                    let published = Tokenizer::from_folder(source)?;
                    check_vocabulary(source, text.vocab_size, &published)?;
                    config.model.text = text.clone();
                    tokenizer = Some(published);
                }
            }
        }
        let tokenizer = tokenizer.unwrap_or_else(|| {
            let all = std::iter::once(&descriptions).chain(of_cases);
            let classes = all.flat_map(|descriptions| descriptions.classes.clone()).collect();
            let tokenizer = Tokenizer::built_in(&Descriptions { classes });
            config.model.text.vocab_size = tokenizer.vocabulary_size();
            tokenizer
        });
        config.check(&run_config)?;
        if folder.is_file() {
            return Err(Error::content(folder, "a folder for the run", "a file"));
        }
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        tokenizer.save(folder)?;
        let words = toml::to_string_pretty(&descriptions).expect("descriptions have a TOML form");
        replace_file(&folder.join("descriptions.toml"), words.as_bytes())?;
        replace_file(&run_config, config.to_toml().as_bytes())?;
        Ok(Self::with(folder, config, descriptions, tokenizer))
    }

    /// Opens a run folder.
    ///
    /// # Errors
    ///
    /// When one of its files cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.join("config.toml").is_file() {
            let found = if folder.is_dir() { "a folder without it" } else { "no such folder" };
            return Err(Error::content(folder, "the folder of a run, with config.toml in it", found));
        }
        let config = Config::read(&folder.join("config.toml"))?;
        let descriptions = Descriptions::read(&folder.join("descriptions.toml"))?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        Ok(Self::with(folder, config, descriptions, tokenizer))
    }

    fn with(folder: &Path, config: Config, descriptions: Descriptions, tokenizer: Tokenizer) -> Self {
        let tokenizer = tokenizer.with_max_tokens(config.model.text.max_position_embeddings);
        Self { folder: folder.to_owned(), config, descriptions, tokenizer }
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

    /// The cases of a data set that train and those that validate.
    ///
    /// # Errors
    ///
    /// When the data set is not the run's, or one of both parts is empty.
    pub fn split(&self, dataset: &Dataset) -> Result<Split> {
        let data = &self.config.data;
        if (&dataset.classes, &dataset.labels) != (&data.classes, &data.labels) {
            let expected = format!("the run's classes {:?} with labels {:?}", data.classes, data.labels);
            let found = format!("{:?} with {:?}", dataset.classes, dataset.labels);
            return Err(Error::content(&dataset.root.join("dataset.json"), expected, found));
        }
        let (index, count) = self.config.fold(&self.path("config.toml"))?;
        let labeled: Vec<_> = dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
        if labeled.len() < count {
            let expected = format!("at least {count} cases with labels, one for each fold");
            return Err(Error::content(&dataset.root, expected, labeled.len().to_string()));
        }
        Ok(fold(&labeled, index, count, SPLIT_SEED))
    }

    /// Prepares the cases of a split and gathers all that the training needs; `progress` hears how many
    /// cases are prepared.
    ///
    /// # Errors
    ///
    /// When a case cannot be read or the cache not be written.
    pub fn task(
        &self,
        dataset: &Dataset,
        split: &Split,
        options: TrainingOptions,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Task> {
        let Config { data, preprocess, model, train, infer, .. } = self.config.clone();
        let cache = self.path("cache");
        let training_cases = build_cache(&cache, &preprocess, dataset, &split.train, progress)?;
        let before = split.train.len();
        let validation_cases =
            build_cache(&cache, &preprocess, dataset, &split.val, &|done| progress(before + done))?;
        Ok(Task {
            texts: self.texts(split.train.iter().chain(&split.val))?,
            config: train,
            model,
            recipe: preprocess,
            infer,
            classes: data.classes,
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
            text: &TextInput::new(&self.tokenizer.encode_classes(&self.descriptions), device),
            recipe: self.config.preprocess.clone(),
            channels: data.channels.len(),
            labels: data.labels.clone(),
            config: infer,
            device: device.clone(),
        }))
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
        let (classes, patch) = (self.config.data.classes.len(), self.config.preprocess.patch);
        self.config.model.init(classes, patch, &mut Initializer::blank(device))
    }

    /// The text of a case whose own descriptions are in `file`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not fit the descriptions of the run.
    pub fn case_text(&self, file: &Path) -> Result<ClassText> {
        Ok(self.tokenizer.encode_classes(&self.descriptions.of_case(file)?))
    }

    fn texts<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> Result<CaseTexts> {
        let with_files = cases.filter_map(|case| Some((case.id.clone(), case.descriptions()?)));
        let own = with_files.map(|(id, file)| Ok((id, self.case_text(&file)?))).collect::<Result<_>>()?;
        Ok(CaseTexts { common: self.tokenizer.encode_classes(&self.descriptions), own })
    }
}

/// A tokenizer must not give ids beyond the embeddings.
fn check_vocabulary(folder: &Path, vocab_size: usize, tokenizer: &Tokenizer) -> Result<()> {
    let pieces = tokenizer.vocabulary_size();
    if pieces > vocab_size {
        let expected = format!("a tokenizer of at most {vocab_size} word pieces, as config.json says");
        return Err(Error::content(folder, expected, pieces.to_string()));
    }
    Ok(())
}
