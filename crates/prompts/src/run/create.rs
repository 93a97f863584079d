//! Creates a run directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bipvl_data::{Fold, Split, SplitIds};
use bipvl_infer::parse_fold;
use bipvl_io::atomic_write;
use bipvl_text::{Concept as Sentence, Description, Descriptions, Synonyms, Tokenizer};
use bipvl_train::{config::SPLIT_SEED, run::apply_pretrained};
use serde::Serialize;

use super::{CONFIG, NO_LOGITS, PromptRun, SPLIT, Transfer, VOCABULARY};
use crate::{
    Concept, Error, Knowledge, Result, Vocabulary,
    code_book::code_vocabulary,
    config::{PartialLabels, PromptConfig},
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
    /// Where the configuration was read, for messages about it.
    pub source: Option<PathBuf>,
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
        let from = spec.from;
        let Plan { mut config, vocabulary, splits } = Plan::new(spec, &path)?;
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

/// What follows from a configuration and its data sets.
struct Plan {
    config: PromptConfig,
    vocabulary: Vocabulary,
    splits: BTreeMap<String, SplitIds>,
}

impl Plan {
    /// `path` is named where the configuration was read from no file.
    fn new(spec: PromptRunSpec, path: &Path) -> Result<Self> {
        let PromptRunSpec { mut config, sets, synonyms, source, .. } = spec;
        let source = source.as_deref().unwrap_or(path);
        config.validate(source)?;
        let vocabulary = vocabulary(sets, &config.data, synonyms)?;
        config.prompts.held_out = held_out_names(&config, &vocabulary, source)?;
        let splits = draw_splits(&config, sets, source)?;
        check_cases(&config, sets, &vocabulary, &splits)?;
        Ok(Self { config, vocabulary, splits })
    }
}

impl PromptRunSpec<'_> {
    /// Everything that [`PromptRun::create`] checks before it writes, and the vocabulary of the run.
    ///
    /// # Errors
    ///
    /// When the data sets contradict each other or the configuration.
    pub fn check(self) -> Result<Vocabulary> {
        Ok(Plan::new(self, Path::new(CONFIG))?.vocabulary)
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("names and numbers can always be written as JSON");
    Ok(atomic_write(path, text.as_bytes())?)
}

/// The held-out phrases under the names of the vocabulary. A phrase that names nothing would hold out nothing, and that of
/// one side would be trained by mirrored patches of the other.
fn held_out_names(config: &PromptConfig, vocabulary: &Vocabulary, path: &Path) -> Result<Vec<String>> {
    let key = "prompts.held_out";
    let mut places = Vec::new();
    for name in &config.prompts.held_out {
        let Some(place) = vocabulary.find(name) else {
            let requirement = format!("names of concepts: {}", vocabulary.names().join(", "));
            return Err(Error::config_value(path, key, format!("\"{name}\""), requirement));
        };
        places.push(place);
    }
    for place in places.iter().filter(|place| !vocabulary.is_within_whole(**place)) {
        let name = &vocabulary.concepts[*place].name;
        tracing::warn!(
            "{key}: no whole contains `{name}`, so it is never prompted and is learned as nothing"
        );
    }
    let name_of = |place: &usize| vocabulary.concepts[*place].name.clone();
    for place in &places {
        let twin = vocabulary.concepts[*place].contralateral.filter(|twin| !places.contains(twin));
        if let (Some(twin), true) = (twin, config.prompts.mirror > 0.0) {
            let found = format!("\"{}\" without \"{}\"", name_of(place), name_of(&twin));
            let requirement = "both sides with prompts.mirror above 0, which makes one of the other";
            return Err(Error::config_value(path, key, found, requirement));
        }
    }
    Ok(places.iter().map(name_of).collect())
}

/// Checks that every set has training cases, and that some validation case can be asked for something.
fn check_cases(
    config: &PromptConfig,
    sets: &[OpenSet],
    vocabulary: &Vocabulary,
    splits: &BTreeMap<String, SplitIds>,
) -> Result<()> {
    let is_askable = |concept: usize, knowledge: &Knowledge| {
        let Concept { name, parts, .. } = &vocabulary.concepts[concept];
        *knowledge != Knowledge::Unknown && parts.is_empty() && !config.prompts.held_out.contains(name)
    };
    let mut can_validate = false;
    for (place, set) in sets.iter().enumerate() {
        let ids = &splits[&set.config.name];
        let knowledge = |case: &String| vocabulary.knowledge(place, set.labels_of(case).as_ref());
        let all = vocabulary.knowledge(place, None);
        let train: Vec<Vec<Knowledge>> = ids.train.iter().map(knowledge).collect();
        let excludes = set.config.partial_labels == PartialLabels::Exclude;
        if train.iter().all(|knowledge| excludes && *knowledge != all) {
            return Err(Error::NoTrainingCases { set: set.config.name.clone() });
        }
        can_validate |= ids.val.iter().any(|case| {
            knowledge(case).iter().enumerate().any(|(concept, knowledge)| is_askable(concept, knowledge))
        });
        let is_trained = |concept: usize| train.iter().any(|case| case[concept] != Knowledge::Unknown);
        for (concept, entry) in vocabulary.concepts.iter().enumerate() {
            if matches!(entry.sets[place], Knowledge::Labeled(_)) && !is_trained(concept) {
                tracing::warn!("data set `{}`: no training case labels `{}`", set.config.name, entry.name);
            }
        }
    }
    if can_validate { Ok(()) } else { Err(Error::NothingToValidate) }
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
    if let Some(tokenizer) = apply_pretrained(&mut config.model, &config.pretrained.load(NO_LOGITS)?)? {
        return Ok(tokenizer);
    }
    let in_code = config.code_book().map(|seed| code_vocabulary(vocabulary, seed));
    let tokenizer = Tokenizer::from_descriptions(&all_texts(in_code.as_ref().unwrap_or(vocabulary)));
    config.model.text.vocab_size = tokenizer.vocab_size();
    Ok(tokenizer)
}

fn all_texts(vocabulary: &Vocabulary) -> Descriptions {
    let of_text = |text: &String| Description {
        class: text.clone(),
        title: text.clone(),
        concepts: vec![Sentence { name: "text".to_owned(), sentence: text.clone() }],
    };
    let texts = vocabulary.concepts.iter().flat_map(|concept| concept.texts.all());
    Descriptions { classes: texts.map(of_text).collect() }
}
