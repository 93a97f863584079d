//! Perturbed words: exchanged laterality, and substitution by words of the same meaning.

use crate::Laterality;

/// Suffixes of side words: `leftmost`, `rightward`.
const SUFFIXES: [&str; 4] = ["", "most", "ward", "wards"];

/// Common words of descriptions and their substitutes. Both or neither start with a vowel, which keeps articles right;
/// no substitute is itself a key, so one pass suffices.
const SUBSTITUTES: [(&str, &str); 49] = [
    ("above", "over"),
    ("adjacent", "alongside"),
    ("beneath", "below"),
    ("beside", "next to"),
    ("behind", "posterior to"),
    ("body", "trunk"),
    ("border", "margin"),
    ("borders", "margins"),
    ("bright", "light"),
    ("brighter", "lighter"),
    ("bulging", "swelling"),
    ("close", "near"),
    ("curved", "bent"),
    ("dark", "dim"),
    ("darker", "dimmer"),
    ("elongated", "oblong"),
    ("even", "unvarying"),
    ("faint", "weak"),
    ("fluid", "liquid"),
    ("halfway", "midway"),
    ("homogeneous", "consistent"),
    ("inner", "internal"),
    ("irregular", "uneven"),
    ("large", "big"),
    ("long", "lengthy"),
    ("lower", "bottom"),
    ("mirrors", "reflects"),
    ("narrow", "constricted"),
    ("often", "in many cases"),
    ("organ", "anatomical structure"),
    ("outer", "external"),
    ("outline", "edge"),
    ("patient", "person"),
    ("round", "circular"),
    ("rounded", "roundish"),
    ("sharp", "crisp"),
    ("sharply", "crisply"),
    ("short", "brief"),
    ("slender", "slim"),
    ("slightly", "somewhat"),
    ("small", "little"),
    ("smooth", "sleek"),
    ("sphere", "globe"),
    ("thick", "stout"),
    ("thin", "slight"),
    ("tube", "pipe"),
    ("usually", "in general"),
    ("wide", "broad"),
    ("wider", "broader"),
];

/// The laterality of a side word such as `left` or `Rightmost`.
pub(crate) fn side_word(word: &str) -> Option<Laterality> {
    let lower = word.to_lowercase();
    [Laterality::Left, Laterality::Right]
        .into_iter()
        .find(|side| lower.strip_prefix(side.as_str()).is_some_and(|suffix| SUFFIXES.contains(&suffix)))
}

/// Exchanges left and right; an involution.
pub fn swap_laterality(text: &str) -> String {
    map_words(text, |word| {
        let lower = word.to_lowercase();
        for (from, to) in [("left", "right"), ("right", "left")] {
            if let Some(suffix) = lower.strip_prefix(from).filter(|suffix| SUFFIXES.contains(suffix)) {
                return cased_as(word, &format!("{to}{suffix}")).unwrap_or_else(|| word.to_owned());
            }
        }
        word.to_owned()
    })
}

/// Substitutes common words by words of the same meaning.
pub fn paraphrase(text: &str) -> String {
    map_words(text, |word| {
        let lower = word.to_lowercase();
        let other = SUBSTITUTES.iter().find(|(from, _)| *from == lower);
        other.and_then(|(_, to)| cased_as(word, to)).unwrap_or_else(|| word.to_owned())
    })
}

/// Replaces every run of letters by the result of `f`.
pub(super) fn map_words(text: &str, mut f: impl FnMut(&str) -> String) -> String {
    let mut mapped = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_alphabetic()).unwrap_or(rest.len());
        if end > 0 {
            mapped.push_str(&f(&rest[..end]));
        }
        rest = &rest[end..];
        let end = rest.find(char::is_alphabetic).unwrap_or(rest.len());
        mapped.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    mapped
}

/// `other` in the case of `word`: lower, capitalized or upper; `None` if that is mixed.
fn cased_as(word: &str, other: &str) -> Option<String> {
    if word == word.to_lowercase() {
        return Some(other.to_owned());
    }
    if word == word.to_uppercase() {
        return Some(other.to_uppercase());
    }
    let capital = |text: &str| {
        let mut letters = text.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    (Some(word.to_owned()) == capital(&word.to_lowercase())).then(|| capital(other)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutes_keep_articles_and_are_final() {
        let has_vowel = |word: &str| word.starts_with(['a', 'e', 'i', 'o', 'u']);
        for (from, to) in SUBSTITUTES {
            assert_eq!(has_vowel(from), has_vowel(to), "{from}, {to}");
            assert_eq!(paraphrase(to), to, "{to} is substituted again");
        }
    }
}
