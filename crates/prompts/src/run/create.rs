//! Creates a run directory.

use std::{collections::BTreeMap, fs, path::Path};

use bipvl_data::{Fold, Split, SplitIds};
use bipvl_infer::parse_fold;
use bipvl_io::atomic_write;
use bipvl_nn::interop::{PretrainedConfig, PretrainedWeights};
use bipvl_text::{Concept as Sentence, Description, Descriptions, Synonyms, Tokenizer};
use bipvl_train::config::SPLIT_SEED;
use serde::Serialize;

use super::{CONFIG, PromptRun, SPLIT, Transfer, VOCABULARY};
use crate::{
    Error, Result, Vocabulary,
    config::PromptConfig,
    sets::{OpenSet, vocabulary},
};

/// What a new run is created with.
#[derive(Debug)]
pub struct PromptRunSpec<'a> {
    /// The configuration.
    pub config: PromptConfig,
    /// Its data sets, opened.
    pub sets: &'a [OpenSet],
    /// Names of the same structures.
    pub synonyms: &'a Synonyms,
    /// A run whose weights the training starts from, and with them its tokenizer.
    pub from: Option<&'a Transfer>,
}

impl PromptRun {
    /// Creates a run; configuration, vocabulary and split are checked before anything is written.
    ///
    /// # Errors
    ///
    /// When the directory already has a run or cannot be written to, or the data sets contradict each other.
    pub fn create(dir: &Path, spec: PromptRunSpec) -> Result<Self> {
        let path = dir.join(CONFIG);
        if path.exists() {
            return Err(bipvl_train::Error::RunExists { dir: dir.to_owned() }.into());
        }
        let PromptRunSpec { mut config, sets, synonyms, from } = spec;
        config.validate(&path)?;
        let vocabulary = vocabulary(sets, &config.data, synonyms)?;
        check_held_out(&config, &vocabulary, &path)?;
        let splits = draw_splits(&config, sets, &path)?;
        let tokenizer = tokenizer(&mut config, &vocabulary, from)?;
        fs::create_dir_all(dir).map_err(|reason| Error::io(dir, reason))?;
        tokenizer.save(dir)?;
        write_json(&dir.join(VOCABULARY), &vocabulary)?;
        write_json(&dir.join(SPLIT), &splits)?;
        // Last, because it marks the directory as a run.
        atomic_write(&path, config.to_toml().as_bytes())?;
        Ok(Self::from_parts(dir, config, vocabulary, tokenizer))
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("names and numbers can always be written as JSON");
    Ok(atomic_write(path, text.as_bytes())?)
}

/// A held-out phrase that names nothing would hold out nothing.
fn check_held_out(config: &PromptConfig, vocabulary: &Vocabulary, path: &Path) -> Result<()> {
    match config.prompts.held_out.iter().find(|name| vocabulary.find(name).is_none()) {
        Some(name) => {
            let requirement = format!("names of concepts: {}", vocabulary.names().join(", "));
            Err(Error::config_value(path, "prompts.held_out", format!("\"{name}\""), requirement))
        }
        None => Ok(()),
    }
}

/// The cases of every data set by their purpose.
fn draw_splits(config: &PromptConfig, sets: &[OpenSet], path: &Path) -> Result<BTreeMap<String, SplitIds>> {
    let (index, count) = parse_fold(&config.data.fold, path)?;
    let split = |set: &OpenSet| {
        let fold = Fold { index, count };
        let split = Split::new(&set.dataset, &set.config.split, fold, SPLIT_SEED, path)?;
        Ok((set.config.name.clone(), split.ids()))
    };
    sets.iter().map(split).collect()
}

/// That of a pretrained text encoder or of the run to continue, else one of the words of all prompts.
fn tokenizer(
    config: &mut PromptConfig,
    vocabulary: &Vocabulary,
    from: Option<&Transfer>,
) -> Result<Tokenizer> {
    if let Some(from) = from {
        config.model.text.clone_from(&from.text);
        return Ok(from.tokenizer.clone());
    }
    for PretrainedWeights { source, config: sizes, .. } in config.pretrained.load(1)? {
        match sizes {
            PretrainedConfig::Vision(vision) => config.model.vision = vision,
            PretrainedConfig::Text(text) => {
                config.model.text = text;
                return Ok(Tokenizer::from_folder(&source)?);
            }
        }
    }
    let tokenizer = Tokenizer::from_descriptions(&all_texts(vocabulary));
    config.model.text.vocab_size = tokenizer.vocab_size();
    Ok(tokenizer)
}

fn all_texts(vocabulary: &Vocabulary) -> Descriptions {
    let of_text = |text: &String| Description {
        class: text.clone(),
        title: text.clone(),
        concepts: vec![Sentence { name: "text".to_owned(), sentence: text.clone() }],
    };
    let texts = vocabulary.concepts.iter().flat_map(|concept| {
        let texts = &concept.texts;
        texts.names.iter().chain(&texts.sentences).chain(&texts.full)
    });
    Descriptions { classes: texts.map(of_text).collect() }
}
