//! Perturbed letters: typos and pseudowords.

use rand::{
    Rng,
    seq::{IndexedRandom, index},
};
use rand_chacha::ChaCha8Rng;

use super::words::map_words;

/// The letters of a QWERTY keyboard with their neighbors.
const NEIGHBORS: [(char, &str); 26] = [
    ('a', "qwsz"),
    ('b', "vghn"),
    ('c', "xdfv"),
    ('d', "serfcx"),
    ('e', "wsdr"),
    ('f', "drtgvc"),
    ('g', "ftyhbv"),
    ('h', "gyujnb"),
    ('i', "ujko"),
    ('j', "huikmn"),
    ('k', "jiolm"),
    ('l', "kop"),
    ('m', "njk"),
    ('n', "bhjm"),
    ('o', "iklp"),
    ('p', "ol"),
    ('q', "wa"),
    ('r', "edft"),
    ('s', "awedxz"),
    ('t', "rfgy"),
    ('u', "yhji"),
    ('v', "cfgb"),
    ('w', "qase"),
    ('x', "zsdc"),
    ('y', "tghu"),
    ('z', "asx"),
];

/// Replaces `count` letters, or all if there are fewer, by a neighboring key. Only ASCII letters change; case is kept.
pub fn add_typos(text: &str, count: usize, rng: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let candidates: Vec<usize> = (0..letters.len()).filter(|at| letters[*at].is_ascii_alphabetic()).collect();
    for index in index::sample(rng, candidates.len(), count.min(candidates.len())) {
        let letter = &mut letters[candidates[index]];
        let (_, neighbors) = NEIGHBORS[usize::from(letter.to_ascii_lowercase() as u8 - b'a')];
        let keys: Vec<char> = neighbors.chars().collect();
        let typo = *keys.choose(rng).expect("every key has a neighbor");
        *letter = if letter.is_ascii_uppercase() { typo.to_ascii_uppercase() } else { typo };
    }
    letters.into_iter().collect()
}

/// Replaces every word by random letters of the same number and case. Digits, blanks and punctuation are kept.
pub fn pseudowords(text: &str, rng: &mut ChaCha8Rng) -> String {
    map_words(text, |word| {
        loop {
            let other: String = word.chars().map(|letter| random_letter(letter, rng)).collect();
            if other != word {
                return other;
            }
        }
    })
}

/// A random ASCII letter in the case of `letter`.
fn random_letter(letter: char, rng: &mut ChaCha8Rng) -> char {
    let drawn = char::from(rng.random_range(b'a'..=b'z'));
    if letter.is_uppercase() { drawn.to_ascii_uppercase() } else { drawn }
}
