//! Prompts of another world, and words that mean nothing.

use bipvl_text::prompts::{UNRELATED_PROMPTS, is_held_out};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::Vocabulary;

const CONSONANTS: [char; 16] =
    ['b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z'];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];
/// Words of a nonsense prompt at most.
const MAX_WORDS: usize = 3;

/// Phrases that no scan shows and no training draws, beside the held-out share of [`UNRELATED_PROMPTS`].
const OTHER_WORLD: [&str; 16] = [
    "a sports car",
    "tree",
    "bridge over a river",
    "railway station",
    "pair of shoes",
    "kitchen sink",
    "bag of flour",
    "penguin",
    "kitten in a basket",
    "cactus",
    "sand dune",
    "violin",
    "postage stamp",
    "chess board",
    "helicopter",
    "the stars at night",
];

/// All phrases of another world.
pub fn other_world() -> Vec<String> {
    let held_out = UNRELATED_PROMPTS.into_iter().filter(|prompt| is_held_out(prompt));
    OTHER_WORLD.into_iter().chain(held_out).map(str::to_owned).collect()
}

/// One to three pronounceable words that name no concept.
pub fn nonsense(vocabulary: &Vocabulary, rng: &mut ChaCha8Rng) -> String {
    loop {
        let words: Vec<String> = (0..rng.random_range(1..=MAX_WORDS))
            .map(|_| {
                let syllables = rng.random_range(2..=4);
                pronounceable(syllables, rng)
            })
            .collect();
        let text = words.join(" ");
        if vocabulary.find(&text).is_none() {
            return text;
        }
    }
}

/// A word of so many syllables.
pub(crate) fn pronounceable(syllables: usize, rng: &mut ChaCha8Rng) -> String {
    let mut word = String::with_capacity(2 * syllables);
    for _ in 0..syllables {
        word.extend(CONSONANTS.choose(rng));
        word.extend(VOWELS.choose(rng));
    }
    word
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn nonsense_is_pronounceable_and_follows_the_seed() {
        let draw = |seed| nonsense(&Vocabulary::default(), &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for word in (0..20).map(draw).flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
        {
            assert!((4..=8).contains(&word.len()), "{word}");
            assert!(word.chars().skip(1).step_by(2).all(|letter| VOWELS.contains(&letter)), "{word}");
        }
    }

    #[test]
    fn no_phrase_of_another_world_is_drawn_in_training() {
        let trained = UNRELATED_PROMPTS.into_iter().filter(|prompt| !is_held_out(prompt));
        let phrases = other_world();
        assert!(
            phrases.len() > 20 && trained.into_iter().all(|prompt| !phrases.contains(&prompt.to_owned()))
        );
    }
}
