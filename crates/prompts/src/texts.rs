//! The wordings of a concept: its names, sentences of its description, or the full description.

use bipvl_text::{
    ClassName, Description, Synonyms,
    prompts::{PromptConfig, PromptKind, is_held_out},
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
    /// Other wordings that training uses; a fifth of all is held out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wordings: Vec<String>,
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
        Self {
            sentences: sentences.unwrap_or_default(),
            full: description.map(Description::prompt),
            ..Self::from_names(names).with_wordings(synonyms)
        }
    }

    /// Of a concept that has names alone.
    pub fn from_names(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// The same with those wordings of its first name that are not held out.
    #[must_use]
    pub fn with_wordings(mut self, synonyms: &Synonyms) -> Self {
        self.wordings = wordings(&self.names[0], synonyms);
        self.wordings.retain(|text| !self.names.contains(text) && !is_held_out(text));
        self
    }

    /// Everything that training may use as a prompt or a sentence.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.names.iter().chain(&self.wordings).chain(&self.sentences).chain(&self.full)
    }

    /// Adds the texts of the same concept in another data set.
    pub fn merge(&mut self, other: Self) {
        for (ours, theirs) in [
            (&mut self.names, other.names),
            (&mut self.wordings, other.wordings),
            (&mut self.sentences, other.sentences),
        ] {
            for text in theirs {
                if !ours.contains(&text) {
                    ours.push(text);
                }
            }
        }
        self.full = self.full.take().or(other.full);
    }

    /// One prompt; without a description, the usual name or, equally often, another. A name may have a typo and loses no
    /// word, which would name something else.
    pub fn sample(&self, config: &PromptConfig, rng: &mut ChaCha8Rng) -> String {
        let text = match (config.sample_kind(rng), &self.full) {
            (PromptKind::Full, Some(full)) => full.clone(),
            (PromptKind::Sentences, Some(_)) if !self.sentences.is_empty() => self.some_sentences(rng),
            _ => {
                let name = self.sample_name(rng);
                return PromptConfig { word_dropout: 0.0, ..*config }.augment(name, rng);
            }
        };
        config.augment(&text, rng)
    }

    fn sample_name(&self, rng: &mut ChaCha8Rng) -> &str {
        let others: Vec<&String> = self.names[1..].iter().chain(&self.wordings).collect();
        if others.is_empty() || rng.random_bool(0.5) {
            return &self.names[0];
        }
        others.choose(rng).expect("it is not empty")
    }

    /// One to three sentences in random order.
    fn some_sentences(&self, rng: &mut ChaCha8Rng) -> String {
        let mut sentences: Vec<&str> = self.sentences.iter().map(String::as_str).collect();
        sentences.shuffle(rng);
        sentences.truncate(rng.random_range(1..=MAX_SENTENCES));
        sentences.join(" ")
    }
}

/// Other wordings of a name: with an article, with its side at the end, and its synonyms.
pub(crate) fn wordings(name: &str, synonyms: &Synonyms) -> Vec<String> {
    let mut wordings = vec![format!("the {name}")];
    wordings.extend(side_last(name));
    wordings.extend(synonyms.names(name).into_iter().filter(|synonym| synonym != name));
    wordings.dedup();
    wordings
}

/// `kidney on the left` of `left kidney`; chambers of the heart keep their names.
fn side_last(name: &str) -> Option<String> {
    let side = ClassName::parse(name).body_side()?;
    let organ = name.strip_prefix(side.as_str())?.trim();
    Some(format!("{organ} on the {}", side.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bipvl_text::Concept;
    use rand::SeedableRng;

    use super::*;

    fn kidney() -> PromptTexts {
        let concepts = ["Bean.", "Left.", "Layered.", "Smooth."]
            .map(|sentence| Concept { name: "any".to_owned(), sentence: sentence.to_owned() });
        let (class, title) = ("left kidney".to_owned(), "Left kidney in a CT image".to_owned());
        let description = Description { class, title, concepts: concepts.into() };
        PromptTexts::new("left kidney", Some(&description), &Synonyms::builtin())
    }

    #[test]
    fn names_are_the_name_and_the_wordings_that_are_not_held_out() {
        let texts = kidney();
        let expected: BTreeSet<String> = ["the left kidney", "kidney on the left"]
            .into_iter()
            .chain(["left nephros", "left ren", "lk", "lkid"])
            .map(str::to_owned)
            .filter(|text| !is_held_out(text))
            .collect();
        assert_eq!(texts.wordings.iter().cloned().collect::<BTreeSet<_>>(), expected);
        assert!((3..6).contains(&expected.len()), "{expected:?}");
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let sampled: BTreeSet<&str> = (0..300).map(|_| texts.sample_name(&mut rng)).collect();
        assert_eq!(sampled.len(), 1 + expected.len());
    }

    #[test]
    fn sentences_are_one_to_three_in_any_order() {
        let (texts, mut rng) = (kidney(), ChaCha8Rng::seed_from_u64(3));
        let sampled: BTreeSet<String> = (0..2000).map(|_| texts.some_sentences(&mut rng)).collect();
        // 4 of one, 4 · 3 of two and 4 · 3 · 2 of three sentences.
        assert_eq!(sampled.len(), 4 + 12 + 24);
        assert!(sampled.contains("Smooth. Layered."));
    }

    #[test]
    fn a_name_may_have_a_typo_and_loses_no_word() {
        let texts = PromptTexts::from_names(vec!["long name of four words".to_owned()]);
        let (config, mut rng) = (PromptConfig::default(), ChaCha8Rng::seed_from_u64(4));
        let sampled: Vec<String> = (0..500).map(|_| texts.sample(&config, &mut rng)).collect();
        assert!(sampled.iter().all(|text| text.split(' ').count() == 5), "{sampled:?}");
        let typos = sampled.iter().filter(|text| **text != texts.names[0]).count();
        // A tenth of 500, four standard deviations.
        assert!(typos.abs_diff(50) < 27, "{typos}");
    }

    #[test]
    fn the_side_of_a_chamber_stays() {
        assert_eq!(side_last("left ventricle"), None);
        assert_eq!(side_last("small ball on the right"), None);
        assert_eq!(side_last("right lung").as_deref(), Some("lung on the right"));
    }
}
