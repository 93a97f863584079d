//! The nearest trained text of a prompt: what a lookup without understanding would answer with.

use std::collections::HashMap;

use bipvl_text::ClassName;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::Vocabulary;

/// Cosines that differ by less are equal: the rounding of a few square roots.
const TOLERANCE: f64 = 1e-9;

/// The cosine of two texts as bags of words, without regard to order, stop words and plurals.
pub fn cosine(one: &str, other: &str) -> f64 {
    Bag::new(one).cosine(&Bag::new(other))
}

/// How often a text has each word.
#[derive(Clone, Debug)]
struct Bag {
    counts: HashMap<String, f64>,
    norm: f64,
}

impl Bag {
    fn new(text: &str) -> Self {
        let mut counts: HashMap<String, f64> = HashMap::new();
        for word in ClassName::parse(text).normalized().split_whitespace() {
            *counts.entry(word.to_owned()).or_default() += 1.0;
        }
        let norm = counts.values().map(|count| count * count).sum::<f64>().sqrt();
        Self { counts, norm }
    }

    fn cosine(&self, other: &Self) -> f64 {
        let product: f64 =
            self.counts.iter().filter_map(|(word, count)| Some(count * other.counts.get(word)?)).sum();
        if product > 0.0 { product / (self.norm * other.norm) } else { 0.0 }
    }
}

/// The texts that a training used.
#[derive(Clone, Debug)]
pub(super) struct TrainedTexts {
    texts: Vec<(usize, String, Bag)>,
}

impl TrainedTexts {
    /// Names and full descriptions of the concepts that were trained.
    pub(super) fn new(vocabulary: &Vocabulary, is_trained: impl Fn(usize) -> bool) -> Self {
        let concepts = vocabulary.concepts.iter().enumerate().filter(|(place, _)| is_trained(*place));
        let texts = concepts.flat_map(|(place, concept)| {
            let texts = concept.texts.names.iter().chain(&concept.texts.wordings).chain(&concept.texts.full);
            texts.map(move |text| (place, text.clone(), Bag::new(text)))
        });
        Self { texts: texts.collect() }
    }

    /// The trained text with the highest cosine among the concepts that `fits` takes, drawn among equals.
    pub(super) fn nearest(
        &self,
        prompt: &str,
        fits: impl Fn(usize) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Option<String> {
        let bag = Bag::new(prompt);
        let fitting = self.texts.iter().filter(|(concept, ..)| fits(*concept));
        let near: Vec<(f64, &String)> = fitting.map(|(_, text, other)| (bag.cosine(other), text)).collect();
        let best = near.iter().map(|(cosine, _)| *cosine).reduce(f64::max)?;
        let equal: Vec<&String> =
            near.iter().filter(|(cosine, _)| *cosine > best - TOLERANCE).map(|(_, text)| *text).collect();
        equal.choose(rng).map(|text| (*text).clone())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::{Concept, PromptTexts};

    #[test]
    fn cosines_by_hand() {
        // Words small, bright, rod, right against bright, rod, right: 3 / (√4 · √3).
        let expected = 3.0 / 12.0_f64.sqrt();
        assert!(
            (cosine("small bright rod on the right", "bright rods on the right") - expected).abs() < 1e-12
        );
        assert!((cosine("kidney, left", "left kidney") - 1.0).abs() < 1e-12);
        assert_eq!(cosine("liver", "spleen"), 0.0);
        assert_eq!(cosine("", "spleen"), 0.0);
    }

    #[test]
    fn only_trained_texts_that_fit_are_near() {
        let concepts = ["bright rod on the left", "bright rod", "dark rod on the left", "dark ball"];
        let concept = |name: &&str| Concept {
            name: (*name).to_owned(),
            parts: Vec::new(),
            contralateral: None,
            texts: PromptTexts::from_names(vec![(*name).to_owned()]),
            sets: Vec::new(),
        };
        let vocabulary = Vocabulary { sets: Vec::new(), concepts: concepts.iter().map(concept).collect() };
        let trained = TrainedTexts::new(&vocabulary, |place| place > 0);
        let nearest = |fits: fn(usize) -> bool| {
            trained.nearest(concepts[0], fits, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
        };
        // Of three words, bright rod shares two of two, 2 / √6 = 0.816; dark rod two of three, 0.667.
        assert_eq!(nearest(|_| true), concepts[1]);
        assert_eq!(nearest(|place| place != 1), concepts[2]);
    }
}
