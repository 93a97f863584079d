//! The wordings of a concept: its names, sentences of its description, or the full description.

use bipvl_text::{
    Description, Synonyms,
    prompts::{PromptConfig, PromptKind},
};
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Sentences of a prompt at most.
const MAX_SENTENCES: usize = 3;

/// All texts of one concept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptTexts {
    /// Its names in words; the first is the usual one.
    pub names: Vec<String>,
    /// The sentences of its description, without the title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentences: Vec<String>,
    /// The full description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
}

impl PromptTexts {
    /// Of a class with this name in words and, where there is one, its description.
    pub fn new(name: &str, description: Option<&Description>, synonyms: &Synonyms) -> Self {
        let mut names = vec![name.to_owned()];
        names.extend(synonyms.canonical(name).map(str::to_owned).filter(|other| other != name));
        let sentences =
            description.map(|description| description.concepts.iter().map(|c| c.sentence.clone()).collect());
        Self { names, sentences: sentences.unwrap_or_default(), full: description.map(Description::prompt) }
    }

    /// Of a concept that has names alone.
    pub fn from_names(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Adds the texts of the same concept in another data set.
    pub fn merge(&mut self, other: Self) {
        for (ours, theirs) in [(&mut self.names, other.names), (&mut self.sentences, other.sentences)] {
            for text in theirs {
                if !ours.contains(&text) {
                    ours.push(text);
                }
            }
        }
        self.full = self.full.take().or(other.full);
    }

    /// One prompt; a name where there is no description.
    pub fn sample(&self, config: &PromptConfig, rng: &mut ChaCha8Rng) -> String {
        let text = match (config.sample_kind(rng), &self.full) {
            (PromptKind::Full, Some(full)) => full.clone(),
            (PromptKind::Sentences, Some(_)) if !self.sentences.is_empty() => self.some_sentences(rng),
            _ => return self.names.choose(rng).expect("a concept has a name").clone(),
        };
        config.augment(&text, rng)
    }

    /// One to three sentences in random order.
    fn some_sentences(&self, rng: &mut ChaCha8Rng) -> String {
        let mut sentences: Vec<&str> = self.sentences.iter().map(String::as_str).collect();
        sentences.shuffle(rng);
        sentences.truncate(rng.random_range(1..=MAX_SENTENCES));
        sentences.join(" ")
    }
}
