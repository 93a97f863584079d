//! The name of a class taken apart: its words, and its side.

/// Words that say nothing about which structure it is.
const SMALL_WORDS: [&str; 6] = ["a", "an", "and", "in", "of", "the"];
/// Other spellings, and ours.
const SPELLINGS: [(&str, &str); 4] =
    [("oesophagus", "esophagus"), ("oedema", "edema"), ("tumour", "tumor"), ("tumours", "tumors")];
/// A name with one of these says by its side which one it is, not where in the body it is.
const CHAMBERS: [&str; 6] = ["ventricle", "ventricular", "atrium", "atrial", "lv", "myocardium"];

/// A side of the body, seen from the person whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left.
    Left,
    /// The right.
    Right,
}

impl Side {
    /// `left` or `right`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// The side a word stands for; a single letter or an abbreviation counts only at the end of a name.
    fn of(word: &str, is_at_end: bool) -> Option<Self> {
        match word {
            "left" | "sinister" | "sinistra" | "sinistrum" => Some(Self::Left),
            "right" | "dexter" | "dextra" | "dextrum" => Some(Self::Right),
            "l" | "lt" if is_at_end => Some(Self::Left),
            "r" | "rt" if is_at_end => Some(Self::Right),
            _ => None,
        }
    }
}

/// The name of a class, such as `kidney_right`, `right kidney` or `KidneyRight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassName {
    /// As written, apart from underscores and humps.
    words: Vec<String>,
    /// Which of the words is the side; none where there is no side or more than one.
    side: Option<(usize, Side)>,
}

impl ClassName {
    /// Takes a name apart.
    pub fn parse(name: &str) -> Self {
        let mut spaced = String::new();
        let mut after_small = false;
        for letter in name.chars() {
            if letter.is_uppercase() && after_small {
                spaced.push(' ');
            }
            after_small = letter.is_lowercase();
            spaced.push(if letter == '_' { ' ' } else { letter });
        }
        let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
        let sides: Vec<(usize, Side)> = (0..words.len())
            .filter_map(|index| {
                let is_at_end = words.len() > 1 && (index == 0 || index + 1 == words.len());
                let word = words[index].to_lowercase();
                Side::of(word.trim_matches(|letter: char| !letter.is_alphanumeric()), is_at_end)
                    .map(|side| (index, side))
            })
            .collect();
        let side = if let [side] = sides[..] { Some(side) } else { None };
        Self { words, side }
    }

    /// The side, where the name has one.
    pub fn side(&self) -> Option<Side> {
        self.side.map(|(_, side)| side)
    }

    /// The side, where it says where in the body the class is: of a kidney, not of a chamber of the heart.
    pub fn place(&self) -> Option<Side> {
        let is_chamber = words_of(&self.words.join(" ")).iter().any(|word| CHAMBERS.contains(&word.as_str()));
        self.side().filter(|_| !is_chamber)
    }

    /// In words, the side in front where it stood at an end: `right kidney`.
    pub fn in_words(&self) -> String {
        let is_capitalized = |word: &str| {
            let rest = word.chars().skip(1);
            word.starts_with(char::is_uppercase)
                && rest.clone().count() > 0
                && rest.clone().all(char::is_lowercase)
        };
        let word = |index: usize| {
            let word = &self.words[index];
            if is_capitalized(word) { word.to_lowercase() } else { word.clone() }
        };
        let last = self.words.len().saturating_sub(1);
        let moved = self.side.filter(|(index, _)| *index == 0 || *index == last);
        let rest =
            (0..self.words.len()).filter(|index| moved.is_none_or(|(side, _)| side != *index)).map(word);
        moved.map(|(_, side)| side.word().to_owned()).into_iter().chain(rest).collect::<Vec<_>>().join(" ")
    }

    /// What stays the same however the name is written: its words without regard to order, case, plural,
    /// spelling and small words.
    pub fn key(&self) -> String {
        key(&words_of(&self.words.join(" ")))
    }

    /// The same without the side.
    pub fn key_without_side(&self) -> String {
        key(&words_of(&self.without_side()))
    }

    /// Its words as written, without the side.
    pub(super) fn without_side(&self) -> String {
        let side = self.side.map(|(index, _)| index);
        let others = self.words.iter().enumerate().filter(|(index, _)| Some(*index) != side);
        others.map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Whether both are the same structure on opposite sides.
    pub fn is_contralateral_to(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.side(), other.side()) else { return false };
        one != two && self.key_without_side() == other.key_without_side()
    }
}

/// The words of a text in small letters, without anything between them.
pub fn words_of(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn key(words: &[String]) -> String {
    let mut words: Vec<&str> = words
        .iter()
        .map(|word| SPELLINGS.iter().find(|(other, _)| other == word).map_or(word.as_str(), |(_, ours)| ours))
        .filter(|word| !SMALL_WORDS.contains(word))
        .map(|word| if word.len() > 3 { word.trim_end_matches('s') } else { word })
        .collect();
    words.sort_unstable();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        for name in ["kidney_right", "right kidney", "Right Kidney", "KidneyRight", "kidneys R", "r. kidney"]
        {
            let name = ClassName::parse(name);
            assert_eq!(
                (name.side(), name.key_without_side().as_str()),
                (Some(Side::Right), "kidney"),
                "{name:?}"
            );
        }
        let [one, other] = ["Non-enhancing tumour", "tumor (non enhancing)"].map(ClassName::parse);
        assert_eq!(one.key(), other.key());
    }

    #[test]
    fn a_name_in_words_has_its_side_in_front() {
        for (name, words) in [
            ("lung_upper_lobe_left", "left lung upper lobe"),
            ("Anterior", "anterior"),
            ("vertebrae_L1", "vertebrae L1"),
            ("myocardium of the left ventricle", "myocardium of the left ventricle"),
            ("RK", "RK"),
            ("prostate/uterus", "prostate/uterus"),
        ] {
            assert_eq!(ClassName::parse(name).in_words(), words);
        }
    }

    #[test]
    fn a_chamber_of_the_heart_has_a_side_and_no_place() {
        let [chamber, kidney, level] =
            ["right ventricle", "kidney_left", "vertebrae_L1"].map(ClassName::parse);
        assert_eq!((chamber.side(), chamber.place()), (Some(Side::Right), None));
        assert_eq!(kidney.place(), Some(Side::Left));
        assert_eq!(level.side(), None);
        assert!(kidney.is_contralateral_to(&ClassName::parse("right kidney")));
        assert!(!kidney.is_contralateral_to(&ClassName::parse("left kidney")));
    }
}
