//! Texts with other words: sides exchanged, words replaced by others of the same meaning.

/// What may stand behind a side within one word.
const ENDINGS: [&str; 4] = ["", "most", "ward", "wards"];

/// Everyday words of anatomy, and what says the same in their place. Both begin with a vowel or neither, so that
/// articles stay right; no word stands on both sides, so that replacing is done once.
const SAME_MEANING: [(&str, &str); 49] = [
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

/// The text with left and right exchanged; doing it twice gives the text back.
pub fn swap_sides(text: &str) -> String {
    map_words(text, |word| {
        let lower = word.to_lowercase();
        for (from, to) in [("left", "right"), ("right", "left")] {
            if let Some(ending) = lower.strip_prefix(from).filter(|ending| ENDINGS.contains(ending)) {
                return cased_as(word, &format!("{to}{ending}")).unwrap_or_else(|| word.to_owned());
            }
        }
        word.to_owned()
    })
}

/// The text with everyday words replaced by others that say the same.
pub fn reword(text: &str) -> String {
    map_words(text, |word| {
        let lower = word.to_lowercase();
        let other = SAME_MEANING.iter().find(|(from, _)| *from == lower);
        other.and_then(|(_, to)| cased_as(word, to)).unwrap_or_else(|| word.to_owned())
    })
}

/// Calls `f` with every run of letters and puts what it gives in its place; all else stays.
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

/// `other` in lower case, with a capital, or in capitals, as `word` is; `None` when `word` is mixed.
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
    fn other_words_leave_articles_right_and_are_replaced_once() {
        let has_vowel = |word: &str| word.starts_with(['a', 'e', 'i', 'o', 'u']);
        for (from, to) in SAME_MEANING {
            assert_eq!(has_vowel(from), has_vowel(to), "{from}, {to}");
            assert_eq!(reword(to), to, "{from} becomes {to}, which must stay");
        }
    }
}
