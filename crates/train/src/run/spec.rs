//! What a new run is created with.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bipvl_data::{Case, Dataset};
use bipvl_nn::{
    BiPvlSegConfig,
    interop::{PretrainedConfig, PretrainedWeights},
};
use bipvl_text::{Descriptions, Tokenizer};

use crate::{Error, Result, config::Config};

/// What a new run is created with.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The configuration.
    pub config: Config,
    /// Descriptions of the classes.
    pub descriptions: Descriptions,
    /// Descriptions of single cases, by id.
    pub case_descriptions: Vec<(String, Descriptions)>,
    /// Where the configuration was read, for messages about it.
    pub source: Option<PathBuf>,
    /// The weights of `config.pretrained`; they determine sizes and tokenizer.
    pub pretrained: Arc<Vec<PretrainedWeights>>,
}

impl RunSpec {
    /// The specification of a run on a data set, with the descriptions of the cases that have their own, and the
    /// pretrained weights of the configuration.
    ///
    /// # Errors
    ///
    /// When descriptions or pretrained weights cannot be read.
    pub fn new(config: Config, descriptions: Descriptions, dataset: &Dataset) -> Result<Self> {
        let pretrained = config.pretrained.load(dataset.label_schema.num_logit_channels())?;
        let with_file = |case: &Case| Some((case.id.clone(), case.descriptions_path()?));
        let files = dataset.cases.iter().filter_map(with_file);
        let case_descriptions =
            files.map(|(case, file)| Ok((case, descriptions.with_case_overrides(&file)?)));
        let case_descriptions = case_descriptions.collect::<Result<_>>()?;
        let pretrained = Arc::new(pretrained);
        Ok(Self { config, descriptions, case_descriptions, source: None, pretrained })
    }

    /// Sets the sizes of the pretrained weights in the configuration. The tokenizer is that of a pretrained text
    /// encoder, or else has the vocabulary of the descriptions.
    pub(super) fn resolve(&self) -> Result<(Config, Tokenizer)> {
        let mut config = self.config.clone();
        let tokenizer = apply_pretrained(&mut config.model, &self.pretrained)?;
        let tokenizer = tokenizer.unwrap_or_else(|| {
            let classes = self.all_descriptions().flat_map(|all| all.classes.clone()).collect();
            let tokenizer = Tokenizer::from_descriptions(&Descriptions { classes });
            config.model.text.vocab_size = tokenizer.vocab_size();
            tokenizer
        });
        Ok((config, tokenizer))
    }

    /// Descriptions of the classes, then of the cases.
    pub(super) fn all_descriptions(&self) -> impl Iterator<Item = &Descriptions> {
        std::iter::once(&self.descriptions).chain(self.case_descriptions.iter().map(|(_, case)| case))
    }
}

/// Sets the sizes of pretrained weights in a configuration; gives the tokenizer of a text encoder, if there is one.
///
/// # Errors
///
/// When the tokenizer cannot be read, or has more tokens than the text encoder has embeddings.
pub fn apply_pretrained(
    model: &mut BiPvlSegConfig,
    pretrained: &[PretrainedWeights],
) -> Result<Option<Tokenizer>> {
    let mut tokenizer = None;
    for PretrainedWeights { source, config: sizes, .. } in pretrained {
        match sizes {
            PretrainedConfig::Vision(vision) => model.vision = vision.clone(),
            PretrainedConfig::Text(text) => {
                let pretrained = Tokenizer::from_folder(source)?;
                ensure_vocabulary_fits(source, text.vocab_size, &pretrained)?;
                model.text = text.clone();
                tokenizer = Some(pretrained);
            }
        }
    }
    Ok(tokenizer)
}

fn ensure_vocabulary_fits(dir: &Path, vocab_size: usize, tokenizer: &Tokenizer) -> Result<()> {
    let tokens = tokenizer.vocab_size();
    if tokens > vocab_size {
        return Err(Error::VocabularyTooLarge { path: dir.to_owned(), tokens, vocab_size });
    }
    Ok(())
}
