//! Opens the data sets of a prompted run and makes one vocabulary of them.

use std::collections::HashMap;

use bipvl_data::{Dataset, DatasetOverrides};
use bipvl_text::{ClassName, Descriptions, Parts, Synonyms};
use indexmap::IndexMap;

use crate::{Error, PromptTexts, Result};
use crate::{
    case_labels::{CaseLabels, read_case_labels},
    config::{SetConfig, SetsConfig},
    vocabulary::{Concept, Knowledge, Vocabulary},
};

/// One data set, read.
#[derive(Debug)]
pub struct OpenSet {
    /// Its configuration.
    pub config: SetConfig,
    /// Its cases and classes.
    pub dataset: Dataset,
    /// Descriptions in the order of its classes.
    pub descriptions: Option<Descriptions>,
    /// The names of the classes in words, in the order of its classes.
    pub names: Vec<String>,
    /// The channel to use of several.
    pub channel: Option<usize>,
    /// Which classes were contoured in each case, where the set says so.
    pub labeled: Option<HashMap<String, CaseLabels>>,
}

impl OpenSet {
    /// Reads a data set.
    ///
    /// # Errors
    ///
    /// When it cannot be read, its descriptions do not fit, `rename` names no class, or `labelled.json` names a case or
    /// class that is not there.
    pub fn open(config: &SetConfig) -> Result<Self> {
        let overrides = DatasetOverrides { modality: config.modality, ..DatasetOverrides::default() };
        let dataset = Dataset::read(&config.path, &overrides)?;
        let classes = dataset.label_schema.names();
        if let Some(class) = config.rename.keys().find(|class| !classes.contains(class)) {
            return Err(Error::UnknownClass {
                set: config.name.clone(),
                class: class.clone(),
                classes: classes.clone(),
            });
        }
        let in_words = |class: &String| {
            config.rename.get(class).cloned().unwrap_or_else(|| ClassName::parse(class).to_phrase())
        };
        let names = classes.iter().map(in_words).collect();
        let descriptions = match &config.descriptions {
            Some(path) => Some(Descriptions::read(path)?.for_classes(path, &classes)?),
            None => None,
        };
        let labeled = read_case_labels(&dataset)?;
        let channel = channel(config, &dataset.channels)?;
        Ok(Self { config: config.clone(), dataset, descriptions, names, channel, labeled })
    }

    /// In how many cases each class was contoured; none where all cases have all.
    pub fn labeled_counts(&self) -> IndexMap<String, usize> {
        let Some(labeled) = &self.labeled else { return IndexMap::new() };
        let count = |class: &String| labeled.values().filter(|case| case.labeled.contains(class)).count();
        self.dataset.label_schema.names().iter().map(|class| (class.clone(), count(class))).collect()
    }

    /// What a case says, with the names of classes in words; `None` where all are labeled.
    pub fn labels_of(&self, case: &str) -> Option<CaseLabels> {
        let CaseLabels { labeled, absent } = self.labeled.as_ref()?.get(case)?;
        let classes = self.dataset.label_schema.names();
        let in_words = |class: &String| {
            let place = classes.iter().position(|known| known == class);
            place.map_or_else(|| class.clone(), |place| self.names[place].clone())
        };
        let [labeled, absent] = [labeled, absent].map(|names| names.iter().map(in_words).collect());
        Some(CaseLabels { labeled, absent })
    }
}

/// The place of the chosen channel; `None` where there is one alone.
fn channel(config: &SetConfig, channels: &[String]) -> Result<Option<usize>> {
    let invalid =
        |found: String| Error::Channel { set: config.name.clone(), found, channels: channels.to_vec() };
    match &config.channel {
        Some(name) => {
            let place = channels.iter().position(|channel| channel.eq_ignore_ascii_case(name));
            place.map(Some).ok_or_else(|| invalid(format!("no channel `{name}`")))
        }
        None if channels.len() > 1 => Err(invalid(format!("{} channels", channels.len()))),
        None => Ok(None),
    }
}

/// The concepts of all sets and their unions.
///
/// # Errors
///
/// When two classes of a set are one concept, a set has no class with a loss, `absent` or `unknown` names no concept, or the table of parts
/// cannot be read.
pub fn vocabulary(sets: &[OpenSet], config: &SetsConfig, synonyms: &Synonyms) -> Result<Vocabulary> {
    let mut vocabulary =
        Vocabulary { sets: sets.iter().map(|set| set.config.name.clone()).collect(), concepts: Vec::new() };
    for (place, set) in sets.iter().enumerate() {
        add_set(&mut vocabulary, place, set, sets.len(), synonyms)?;
    }
    let parts = match &config.parts {
        Some(path) => Parts::with_file(path)?,
        None => Parts::builtin(),
    };
    for (place, set) in sets.iter().enumerate() {
        declare(&mut vocabulary, place, set, &parts, synonyms)?;
    }
    let names: Vec<String> = vocabulary.concepts.iter().map(|concept| concept.name.clone()).collect();
    for (whole, reason) in parts.unresolved(&names, synonyms) {
        tracing::warn!("the whole `{whole}` is left out: {reason}");
    }
    add_unions(&mut vocabulary, &parts, sets.len(), synonyms);
    pair_sides(&mut vocabulary);
    Ok(vocabulary)
}

fn add_set(
    vocabulary: &mut Vocabulary,
    place: usize,
    set: &OpenSet,
    num_sets: usize,
    synonyms: &Synonyms,
) -> Result<()> {
    for (class, name) in set.names.iter().enumerate() {
        let description = set.descriptions.as_ref().map(|descriptions| &descriptions.classes[class]);
        let texts = PromptTexts::new(name, description, synonyms);
        let known = texts.names.iter().find_map(|name| vocabulary.find(name));
        let schema = &set.dataset.label_schema;
        let indices =
            schema.classes()[class].labels.iter().map(|label| schema.channel_index(*label)).collect();
        let labels = Knowledge::Labeled(indices);
        if let Some(concept) = known {
            let entry = &mut vocabulary.concepts[concept];
            if let Knowledge::Labeled(_) = entry.sets[place] {
                let classes = [entry.name.clone(), name.clone()];
                return Err(Error::SameConcept { set: set.config.name.clone(), classes });
            }
            entry.sets[place] = labels;
            entry.texts.merge(texts);
        } else {
            let mut of_sets = vec![Knowledge::Unknown; num_sets];
            of_sets[place] = labels;
            vocabulary.concepts.push(Concept {
                name: name.clone(),
                parts: Vec::new(),
                contralateral: None,
                texts,
                sets: of_sets,
            });
        }
    }
    Ok(())
}

/// What a set declares absent or unknown.
fn declare(
    vocabulary: &mut Vocabulary,
    place: usize,
    set: &OpenSet,
    parts: &Parts,
    synonyms: &Synonyms,
) -> Result<()> {
    let all: Vec<String> = vocabulary.concepts.iter().map(|concept| concept.name.clone()).collect();
    let SetConfig { absent, unknown, .. } = &set.config;
    for (names, knowledge) in [(absent, Knowledge::Absent), (unknown, Knowledge::Unknown)] {
        for name in names {
            // A whole stands for its parts.
            let concepts = vocabulary.find(name).map(|concept| vec![concept]);
            let concepts = concepts.or_else(|| parts.resolve(name, &all, synonyms).ok());
            let Some(concepts) = concepts else {
                let set = set.config.name.clone();
                return Err(Error::UnknownConcept { set, name: name.clone(), known: all });
            };
            for concept in concepts {
                let entry = &mut vocabulary.concepts[concept];
                if knowledge == Knowledge::Absent && matches!(entry.sets[place], Knowledge::Labeled(_)) {
                    return Err(Error::LabeledAndAbsent { set: set.config.name.clone(), name: name.clone() });
                }
                entry.sets[place] = knowledge.clone();
            }
        }
    }
    let has_loss =
        vocabulary.concepts.iter().any(|concept| matches!(concept.sets[place], Knowledge::Labeled(_)));
    if has_loss { Ok(()) } else { Err(Error::NothingLabeled { set: set.config.name.clone() }) }
}

fn add_unions(vocabulary: &mut Vocabulary, parts: &Parts, num_sets: usize, synonyms: &Synonyms) {
    let names: Vec<String> = vocabulary.concepts.iter().map(|concept| concept.name.clone()).collect();
    for whole in parts.unions(&names, synonyms) {
        let [name, ..] = &whole.names[..] else { continue };
        if vocabulary.find(name).is_some() {
            continue;
        }
        let name = name.clone();
        let texts = PromptTexts::from_names(whole.names).with_wordings(synonyms);
        let sets = vec![Knowledge::Unknown; num_sets];
        vocabulary.concepts.push(Concept { name, parts: whole.classes, contralateral: None, texts, sets });
    }
}

fn pair_sides(vocabulary: &mut Vocabulary) {
    let names: Vec<ClassName> =
        vocabulary.concepts.iter().map(|concept| ClassName::parse(&concept.name)).collect();
    for (place, concept) in vocabulary.concepts.iter_mut().enumerate() {
        concept.contralateral = names.iter().position(|other| names[place].is_contralateral_to(other));
    }
}
