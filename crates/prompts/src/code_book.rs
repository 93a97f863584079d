//! The code-book control: every text replaced by a random string of its own.
//!
//! A network that looks its prompts up learns names and strings equally well, and neither helps it with a text it has not
//! seen. A training on [`code_vocabulary`], asked in the same code (`prompts.code_book = true`), shows what looking up alone achieves.

use bipvl_text::normalized_words;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{Concept, PromptTexts, Vocabulary, probe::nonsense::pronounceable};

/// Syllables of each word: 80⁶ strings, so that no two texts get the same.
const SYLLABLES: usize = 3;
const WORDS: usize = 2;

/// The string of a text: the same for every spelling of its words, whatever other texts there are.
pub fn code_book(text: &str, seed: u64) -> String {
    let mut rng = generator(seed, &normalized_words(text).join(" "));
    (0..WORDS).map(|_| pronounceable(SYLLABLES, &mut rng)).collect::<Vec<_>>().join(" ")
}

/// The texts of a concept in code.
pub fn code_texts(texts: &PromptTexts, seed: u64) -> PromptTexts {
    let in_code = |text: &String| code_book(text, seed);
    PromptTexts {
        names: texts.names.iter().map(in_code).collect(),
        wordings: texts.wordings.iter().map(in_code).collect(),
        sentences: texts.sentences.iter().map(in_code).collect(),
        full: texts.full.as_ref().map(in_code),
    }
}

/// A vocabulary in code, for the control training: names and texts are replaced, what the sets know is not. Names to hold
/// out become those that [`code_book()`] gives, and patches must not be mirrored, since strings have no sides.
pub fn code_vocabulary(vocabulary: &Vocabulary, seed: u64) -> Vocabulary {
    let in_code = |concept: &Concept| Concept {
        name: code_book(&concept.name, seed),
        texts: code_texts(&concept.texts, seed),
        ..concept.clone()
    };
    Vocabulary { sets: vocabulary.sets.clone(), concepts: vocabulary.concepts.iter().map(in_code).collect() }
}

/// A stream of its own for a text or a case.
pub(crate) fn generator(seed: u64, text: &str) -> ChaCha8Rng {
    // FNV-1a, which does not change with the release as the hash of the standard library may.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(hash);
    rng
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bipvl_imaging::phantom::attributes::Kind;

    use super::*;

    #[test]
    fn every_text_has_a_string_of_its_own_in_any_spelling() {
        let strings: HashSet<String> = Kind::all().map(|kind| code_book(&kind.to_string(), 1)).collect();
        assert_eq!(strings.len(), 48);
        assert_eq!(code_book("Left Kidney.", 1), code_book("left kidney", 1));
        assert_ne!(code_book("left kidney", 1), code_book("left kidney", 2));
        assert!(strings.iter().all(|text| text.split(' ').all(|word| word.len() == 2 * SYLLABLES)));
    }

    #[test]
    fn a_vocabulary_in_code_keeps_all_but_its_words() {
        let concept = |name: &str, parts: Vec<usize>| Concept {
            name: name.to_owned(),
            parts,
            contralateral: None,
            texts: PromptTexts {
                names: vec![name.to_owned()],
                sentences: vec!["It is round.".to_owned()],
                ..PromptTexts::default()
            },
            sets: Vec::new(),
        };
        let vocabulary = Vocabulary {
            sets: Vec::new(),
            concepts: vec![concept("kidneys", vec![1]), concept("kidney", vec![])],
        };
        let coded = code_vocabulary(&vocabulary, 7);
        assert_eq!(coded.concepts[0].parts, [1]);
        assert_eq!(coded.find(&code_book("kidneys", 7)), Some(0));
        assert_eq!(coded.find("kidneys"), None);
        assert_eq!(coded.concepts[0].texts.sentences, coded.concepts[1].texts.sentences);
    }
}
