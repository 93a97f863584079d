//! Prompts for training: names, sentences and full descriptions with word dropout and typos, negative prompts, the
//! held-out split of paraphrases, and texts of mirrored patients.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    ClassName,
    class_name::CHAMBERS,
    perturbations::{add_typos, pseudowords, side_word, swap_laterality},
};

/// One in so many texts is held out from training: 20 %.
const HELD_OUT: u64 = 5;
/// Words of a pseudoword prompt.
const MAX_PSEUDOWORDS: usize = 4;

/// Prompts about things that no scan shows.
pub const UNRELATED_PROMPTS: [&str; 50] = [
    "car",
    "bicycle",
    "traffic light",
    "a red bus on a bridge",
    "airplane",
    "sailing boat",
    "locomotive",
    "tractor",
    "house with a garden",
    "wooden table",
    "chair",
    "lamp",
    "window",
    "staircase",
    "umbrella",
    "pair of scissors",
    "coffee cup",
    "bottle of wine",
    "fork and knife",
    "loaf of bread",
    "apple",
    "banana",
    "pizza",
    "birthday cake",
    "cat on a sofa",
    "dog",
    "horse in a meadow",
    "elephant",
    "bird on a branch",
    "goldfish",
    "butterfly",
    "spider",
    "oak tree",
    "rose",
    "grass",
    "mountain lake",
    "waterfall",
    "clouds at sunset",
    "the moon",
    "snowman",
    "guitar",
    "piano",
    "book",
    "newspaper",
    "computer keyboard",
    "telephone",
    "camera",
    "football",
    "tennis racket",
    "a crowd of people in a stadium",
];

/// The form of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PromptKind {
    /// The class name or a synonym.
    Name,
    /// One to three sentences of the description in random order.
    Sentences,
    /// The full description.
    Full,
}

/// Probabilities of prompt forms and augmentations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptConfig {
    /// Relative frequency of [`PromptKind::Name`].
    pub name: f64,
    /// Relative frequency of [`PromptKind::Sentences`].
    pub sentences: f64,
    /// Relative frequency of [`PromptKind::Full`].
    pub full: f64,
    /// Probability that a word is dropped; side words and the last remaining word are kept.
    pub word_dropout: f64,
    /// Probability of one typo in a prompt.
    pub typo: f64,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self { name: 0.4, sentences: 0.3, full: 0.3, word_dropout: 0.1, typo: 0.1 }
    }
}

impl PromptConfig {
    /// Samples the form of a prompt.
    pub fn sample_kind(&self, rng: &mut ChaCha8Rng) -> PromptKind {
        let drawn = rng.random::<f64>() * (self.name + self.sentences + self.full);
        if drawn < self.name {
            PromptKind::Name
        } else if drawn < self.name + self.sentences {
            PromptKind::Sentences
        } else {
            PromptKind::Full
        }
    }

    /// Applies word dropout and typos.
    pub fn augment(&self, text: &str, rng: &mut ChaCha8Rng) -> String {
        let text = drop_words(text, self.word_dropout, rng);
        if rng.random_bool(self.typo) { add_typos(&text, 1, rng) } else { text }
    }
}

/// Drops each word with a probability. Side words are kept, because without them a prompt denotes another organ; at
/// least one word remains.
pub fn drop_words(text: &str, probability: f64, rng: &mut ChaCha8Rng) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_side = |word: &str| side_word(word.trim_matches(|letter: char| !letter.is_alphabetic())).is_some();
    let kept: Vec<&str> =
        words.iter().copied().filter(|word| !rng.random_bool(probability) || is_side(word)).collect();
    match (
        kept.iter().all(|word| is_side(word)),
        words.iter().filter(|word| !is_side(word)).collect::<Vec<_>>(),
    ) {
        // Of a text of more than sides, more than sides must remain.
        (true, others) if !others.is_empty() => {
            let survivor = **others.choose(rng).expect("it is not empty");
            let survives = |word: &&str| is_side(word) || std::ptr::eq(*word, survivor);
            words.iter().copied().filter(survives).collect::<Vec<_>>().join(" ")
        }
        _ => kept.join(" "),
    }
}

/// A negative prompt: pseudowords or, equally often, an [unrelated](UNRELATED_PROMPTS) prompt. `is_held_out` selects the
/// share of the unrelated prompts.
pub fn sample_negative(is_held_out: bool, rng: &mut ChaCha8Rng) -> String {
    if rng.random_bool(0.5) {
        let lengths =
            (0..rng.random_range(1..=MAX_PSEUDOWORDS)).map(|_| "x".repeat(rng.random_range(3..=10)));
        return pseudowords(&lengths.collect::<Vec<_>>().join(" "), rng);
    }
    let share: Vec<&str> =
        UNRELATED_PROMPTS.into_iter().filter(|prompt| self::is_held_out(prompt) == is_held_out).collect();
    (*share.choose(rng).expect("a test counts both shares")).to_owned()
}

/// Whether a text belongs to the held-out fifth, by the SHA-256 of its lower-case words. The split does not depend on
/// the other texts, the platform or the release.
pub fn is_held_out(text: &str) -> bool {
    let words = super::normalized_words(text).join(" ");
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(words.as_bytes()));
    u64::from_le_bytes([a, b, c, d, e, f, g, h]).is_multiple_of(HELD_OUT)
}

/// The text of a patient mirrored along the left-right axis: sides are exchanged, but not those that name a chamber of
/// the heart (`left ventricle`), which keeps its name at the other place. An involution.
pub fn mirror_text(text: &str) -> String {
    let mut mirrored = String::with_capacity(text.len());
    let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).map(|next| super::normalized_words(next).into_iter().next());
        let next = next.flatten().unwrap_or_default();
        let is_end = word.trim_end().ends_with([',', '.', ';', ':', ')']);
        let names_chamber = !is_end && CHAMBERS.contains(&next.trim_end_matches('s'));
        mirrored.push_str(&if names_chamber { (*word).to_owned() } else { swap_laterality(word) });
    }
    mirrored
}

/// For each class, the class whose label its voxels get in a mirrored patient: its contralateral class, or itself if its
/// name has no body side. `None` if a class has a side but no counterpart.
pub fn mirrored_classes(classes: &[String]) -> Option<Vec<usize>> {
    let names: Vec<ClassName> = classes.iter().map(|class| ClassName::parse(class)).collect();
    let mirrored = names.iter().enumerate().map(|(index, name)| match name.body_side() {
        None => Some(index),
        Some(_) => names.iter().position(|other| name.is_contralateral_to(other)),
    });
    mirrored.collect()
}
