//! Texts with other letters: typing mistakes, and words that mean nothing.

use rand::{
    Rng,
    seq::{IndexedRandom, index},
};
use rand_chacha::ChaCha8Rng;

use super::words::map_words;

/// The letters of a keyboard, and for each the keys beside it.
const BESIDE: [(char, &str); 26] = [
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

/// The text with `count` of its letters replaced by a key beside the right one; all of them where it has fewer.
/// Only letters of the English alphabet are touched, and a capital stays one.
pub fn mistype(text: &str, count: usize, random: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let places: Vec<usize> = (0..letters.len()).filter(|at| letters[*at].is_ascii_alphabetic()).collect();
    for chosen in index::sample(random, places.len(), count.min(places.len())) {
        let letter = &mut letters[places[chosen]];
        let (_, beside) = BESIDE[usize::from(letter.to_ascii_lowercase() as u8 - b'a')];
        let keys: Vec<char> = beside.chars().collect();
        let wrong = *keys.choose(random).expect("every key has a neighbor");
        *letter = if letter.is_ascii_uppercase() { wrong.to_ascii_uppercase() } else { wrong };
    }
    letters.into_iter().collect()
}

/// The text with every word replaced by random letters, as many as it had. Spaces, digits, punctuation and
/// capitals stay.
pub fn nonsense(text: &str, random: &mut ChaCha8Rng) -> String {
    map_words(text, |word| {
        loop {
            let other: String = word.chars().map(|letter| like(letter, random)).collect();
            if other != word {
                return other;
            }
        }
    })
}

fn like(letter: char, random: &mut ChaCha8Rng) -> char {
    let drawn = char::from(random.random_range(b'a'..=b'z'));
    if letter.is_uppercase() { drawn.to_ascii_uppercase() } else { drawn }
}
