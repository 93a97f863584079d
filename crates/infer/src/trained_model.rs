//! A trained model on disk: configuration, descriptions, tokenizer and best weights of a run.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bipvl_data::Case;
use bipvl_io::FileError;
use bipvl_nn::{BiPvlSeg, TextInput, init::Initializer};
use bipvl_text::{ClassText, Descriptions, Synonyms, TokenizedTexts, Tokenizer};
use burn::tensor::Device;

use crate::{
    Error, Folds, InferConfig, InferenceProgress, ModelConfig, NotARunDir, Predictor, PredictorInput, Result,
    has_prompts_head, weights_file::load_network,
};

/// What prediction needs of a run directory. Weights are read by [`TrainedModel::predictor`].
#[derive(Clone, Debug)]
pub struct TrainedModel {
    /// The run directory.
    pub dir: PathBuf,
    /// Configuration of the run.
    pub config: ModelConfig,
    /// Descriptions of the classes.
    pub descriptions: Descriptions,
    tokenizer: Tokenizer,
}

impl TrainedModel {
    /// Opens a run directory.
    ///
    /// # Errors
    ///
    /// When it is not a run directory ([`Error::NotARunDir`]), or one of its files is missing or invalid.
    pub fn open(dir: &Path) -> Result<Self> {
        let config_path = dir.join("config.toml");
        if !config_path.is_file() {
            let reason = match () {
                () if Folds::exists_in(dir) => NotARunDir::CrossValidation,
                () if dir.is_dir() => NotARunDir::NoConfig,
                () if dir.exists() => NotARunDir::File,
                () => NotARunDir::Missing,
            };
            return Err(Error::NotARunDir { path: dir.to_owned(), reason });
        }
        if fs::read_to_string(&config_path).is_ok_and(|text| has_prompts_head(&text)) {
            return Err(Error::NotARunDir { path: dir.to_owned(), reason: NotARunDir::Prompted });
        }
        let config = ModelConfig::read(&config_path)?;
        let descriptions = Descriptions::read(&dir.join("descriptions.toml"))?;
        let tokenizer = Tokenizer::from_folder(dir)?;
        Ok(Self::from_parts(dir, config, descriptions, tokenizer))
    }

    /// A model from its parts, which are not written.
    pub fn from_parts(
        dir: &Path,
        config: ModelConfig,
        descriptions: Descriptions,
        tokenizer: Tokenizer,
    ) -> Self {
        let tokenizer = tokenizer.with_max_tokens(config.model.text.max_position_embeddings);
        Self { dir: dir.to_owned(), config, descriptions, tokenizer }
    }

    /// A file or subdirectory of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The weights of the best validation.
    pub fn best_checkpoint(&self) -> PathBuf {
        self.path("best.safetensors")
    }

    /// A predictor with the best weights and the descriptions of the run.
    ///
    /// # Errors
    ///
    /// When there are no best weights yet, or they cannot be read.
    pub fn predictor(&self, config: InferConfig, device: &Device) -> Result<Predictor> {
        let data = &self.config.data;
        Ok(Predictor::new(PredictorInput {
            model: self.network(device)?,
            text: &self.text(device),
            preprocess: self.config.preprocess.clone(),
            channels: data.channels.len(),
            label_schema: data.label_schema.clone(),
            config,
            device: device.clone(),
        }))
    }

    /// The label of each class for [`Predictor::with_output_labels`]: 0 for those that are not chosen. A synonym or a whole
    /// stands for all that it names.
    ///
    /// # Errors
    ///
    /// When a chosen name is no class of the model.
    pub fn output_labels(&self, chosen: &[String], synonyms: &Synonyms) -> Result<Vec<u16>> {
        let schema = &self.config.data.label_schema;
        let classes = schema.names();
        let mut labels = vec![0; classes.len()];
        for class in chosen {
            let matches = synonyms.find_classes(class, &classes);
            if matches.is_empty() {
                return Err(Error::UnknownClass { class: class.clone(), classes });
            }
            for index in matches {
                labels[index] = schema.classes()[index].output_label;
            }
        }
        Ok(labels)
    }

    /// A predictor that averages the logits of several models, such as the folds of a cross-validation.
    ///
    /// # Errors
    ///
    /// As [`Self::predictor`], and when classes or preprocessing differ from those of the first model.
    ///
    /// # Panics
    ///
    /// When there is no model.
    pub fn ensemble(models: &[Self], config: InferConfig, device: &Device) -> Result<Predictor> {
        let (first, others) = models.split_first().expect("an ensemble has at least one model");
        let mut predictor = first.predictor(config, device)?;
        for model in others {
            model.ensure_matches(first)?;
            predictor = predictor.with_ensemble_member(model.network(device)?, &model.text(device));
        }
        Ok(predictor)
    }

    fn ensure_matches(&self, other: &Self) -> Result<()> {
        let (ours, theirs) = (&self.config, &other.config);
        let keys = [
            ("data.channels", ours.data.channels == theirs.data.channels),
            ("data.label_schema", ours.data.label_schema == theirs.data.label_schema),
            ("preprocess", ours.preprocess == theirs.preprocess),
        ];
        match keys.into_iter().find(|(_, is_equal)| !is_equal) {
            Some((key, _)) => {
                let (path, other) = (self.path("config.toml"), other.path("config.toml"));
                Err(Error::EnsembleMismatch { path, other, key })
            }
            None => Ok(()),
        }
    }

    /// The network with the best weights.
    ///
    /// # Errors
    ///
    /// When there are no best weights yet, or they cannot be read.
    pub fn network(&self, device: &Device) -> Result<BiPvlSeg> {
        let path = self.best_checkpoint();
        if !path.exists() {
            return Err(Error::NoBestWeights { path });
        }
        let ModelConfig { data, preprocess, model, .. } = &self.config;
        let mut init = Initializer::zeros(device);
        load_network(&path, model.init(data.head_config(), preprocess.patch_size, &mut init))
    }

    /// The tokenized descriptions, without their single sentences, which only training uses.
    pub fn text(&self, device: &Device) -> TextInput {
        TextInput::new(&self.class_text(), device).without_sentences()
    }

    /// The tokenized descriptions with their single sentences.
    pub fn class_text(&self) -> ClassText {
        self.tokenizer.encode_classes(&self.descriptions)
    }

    /// Tokenizes the prompts of the classes, `[classes, tokens]`.
    pub fn tokenize(&self, prompts: &[String]) -> TokenizedTexts {
        self.tokenizer.encode(prompts)
    }

    /// The tokenizer, with the maximum length of the text encoder.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Number of texts with more tokens than the text encoder reads.
    pub fn count_truncated(&self, texts: &[String]) -> usize {
        texts.iter().filter(|text| self.tokenizer.truncates(text)).count()
    }

    /// The description file of a case: the override of the run, else that of the data set; `None` if it has neither.
    pub fn case_descriptions_path(&self, case: &Case) -> Option<PathBuf> {
        let of_run = self.case_descriptions_override(&case.id);
        if of_run.is_file() { Some(of_run) } else { case.descriptions_path() }
    }

    /// Where a run stores descriptions of a case that replace those of the data set.
    pub fn case_descriptions_override(&self, case: &str) -> PathBuf {
        self.path("descriptions").join(format!("{case}.toml"))
    }

    /// The tokenized text of a case with its own descriptions.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or has classes or concepts that the run does not have.
    pub fn case_text(&self, file: &Path) -> Result<ClassText> {
        Ok(self.tokenizer.encode_classes(&self.descriptions.with_case_overrides(file)?))
    }

    /// Segments cases of a data set, each with its own descriptions if it has any, and writes
    /// `OUT/CASE.nii.gz`. A case that fails does not stop the others; the results are in the order of the cases.
    ///
    /// # Errors
    ///
    /// When the directory cannot be created, and [`Error::Cancelled`].
    pub fn predict_cases(
        &self,
        predictor: &Predictor,
        cases: &[Case],
        out: &Path,
        on_progress: &mut dyn FnMut(&Case, InferenceProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Result<PathBuf>>> {
        fs::create_dir_all(out).map_err(|reason| FileError::new(out, reason))?;
        let mut results = Vec::with_capacity(cases.len());
        for case in cases {
            let path = out.join(format!("{}.nii.gz", case.id));
            let result =
                self.predict_case(predictor, case, &path, &mut |progress| on_progress(case, progress));
            if matches!(result, Err(Error::Cancelled)) {
                return Err(Error::Cancelled);
            }
            results.push(result.map(|()| path));
        }
        Ok(results)
    }

    fn predict_case(
        &self,
        predictor: &Predictor,
        case: &Case,
        path: &Path,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<()> {
        let text = self.case_descriptions_path(case).map(|file| self.case_text(&file)).transpose()?;
        let with_own_text = text.map(|text| predictor.with_prompts(&[text.prompts]));
        let predictor = with_own_text.as_ref().unwrap_or(predictor);
        Ok(predictor.predict_files(&case.images, on_progress)?.write(path)?)
    }
}
