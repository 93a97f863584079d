//! Class names: laterality, comparison across spellings, collisions, lists.

use crate::{Error, Result};

/// Words that do not identify a structure.
const STOP_WORDS: [&str; 7] = ["a", "an", "and", "in", "of", "on", "the"];
/// Spelling variants and the canonical spelling.
const SPELLINGS: [(&str, &str); 4] =
    [("oesophagus", "esophagus"), ("oedema", "edema"), ("tumour", "tumor"), ("tumours", "tumors")];
/// Words of structures whose laterality names the structure and not its position: chambers of the heart.
pub(super) const CHAMBERS: [&str; 7] =
    ["ventricle", "ventricular", "atrium", "atria", "atrial", "lv", "myocardium"];

/// Anatomical side, from the patient's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Laterality {
    /// The patient's left.
    Left,
    /// The patient's right.
    Right,
}

impl Laterality {
    /// `left` or `right`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// The side that a word stands for; abbreviations count only as the first or last word of a name.
    fn from_word(word: &str, is_at_end: bool) -> Option<Self> {
        match word {
            "left" | "sinister" | "sinistra" | "sinistrum" => Some(Self::Left),
            "right" | "dexter" | "dextra" | "dextrum" => Some(Self::Right),
            "l" | "lt" if is_at_end => Some(Self::Left),
            "r" | "rt" if is_at_end => Some(Self::Right),
            _ => None,
        }
    }
}

/// A parsed class name, such as `kidney_right`, `right kidney` or `KidneyRight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassName {
    /// As written, split at blanks, underscores and camel case.
    words: Vec<String>,
    /// Index and value of the only word that is a side.
    laterality: Option<(usize, Laterality)>,
}

impl ClassName {
    /// Splits a name into words and finds its laterality. A name with two sides has none.
    pub fn parse(name: &str) -> Self {
        let mut spaced = String::new();
        let mut after_lowercase = false;
        for letter in name.chars() {
            if letter.is_uppercase() && after_lowercase {
                spaced.push(' ');
            }
            after_lowercase = letter.is_lowercase();
            spaced.push(if letter == '_' { ' ' } else { letter });
        }
        let words: Vec<String> = spaced.split_whitespace().map(str::to_owned).collect();
        let sides: Vec<(usize, Laterality)> = (0..words.len())
            .filter_map(|index| {
                let is_at_end = words.len() > 1 && (index == 0 || index + 1 == words.len());
                let word = words[index].to_lowercase();
                Laterality::from_word(word.trim_matches(|letter: char| !letter.is_alphanumeric()), is_at_end)
                    .map(|side| (index, side))
            })
            .collect();
        let laterality = if let [side] = sides[..] { Some(side) } else { None };
        Self { words, laterality }
    }

    /// The side in the name.
    pub fn laterality(&self) -> Option<Laterality> {
        self.laterality.map(|(_, side)| side)
    }

    /// The side of the body on which the class lies: that in the name, but `None` for chambers of the heart, whose
    /// laterality is no position.
    pub fn body_side(&self) -> Option<Laterality> {
        let words = normalized_words(&self.words.join(" "));
        let is_chamber = words.iter().any(|word| CHAMBERS.contains(&word.as_str()));
        self.laterality().filter(|_| !is_chamber)
    }

    /// The name as English words, a leading or trailing side first: `right kidney`. `ring on the right` stays.
    pub fn to_phrase(&self) -> String {
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
        let is_after_article = self.words.len() > 1 && self.words[last - 1].eq_ignore_ascii_case("the");
        let moved = self.laterality.filter(|(index, _)| *index == 0 || (*index == last && !is_after_article));
        let rest =
            (0..self.words.len()).filter(|index| moved.is_none_or(|(side, _)| side != *index)).map(word);
        moved.map(|(_, side)| side.as_str().to_owned()).into_iter().chain(rest).collect::<Vec<_>>().join(" ")
    }

    /// A comparison key: lower-case words, sorted, without stop words, plurals and spelling variants.
    pub fn normalized(&self) -> String {
        normalize(&normalized_words(&self.words.join(" ")))
    }

    /// [`Self::normalized`] without the side.
    pub fn normalized_without_laterality(&self) -> String {
        normalize(&normalized_words(&self.without_laterality()))
    }

    /// The words as written, without the side.
    pub(super) fn without_laterality(&self) -> String {
        let side = self.laterality.map(|(index, _)| index);
        let others = self.words.iter().enumerate().filter(|(index, _)| Some(*index) != side);
        let others = others.map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ");
        // "ring on the right" leaves "ring".
        others.strip_suffix(" on the").map_or(others.clone(), str::to_owned)
    }

    /// Whether both names are the same structure on opposite sides.
    pub fn is_contralateral_to(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.laterality(), other.laterality()) else { return false };
        one != two && self.normalized_without_laterality() == other.normalized_without_laterality()
    }

    /// Whether two class names of one data set are indistinguishable: equal but for case, blanks and underscores.
    pub fn collides(one: &str, other: &str) -> bool {
        collision_key(one) == collision_key(other)
    }

    /// Checks the class names of a data set.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyClassName`] for a blank name, [`Error::ClassNameCollision`] for the first two that collide.
    pub fn validate(classes: &[String]) -> Result<()> {
        for (index, class) in classes.iter().enumerate() {
            if class.trim().is_empty() {
                return Err(Error::EmptyClassName { index });
            }
            if let Some(first) = classes[..index].iter().find(|first| Self::collides(first, class)) {
                return Err(Error::ClassNameCollision { first: first.clone(), second: class.clone() });
            }
        }
        Ok(())
    }

    /// Splits a comma-separated list of names. A name that contains a comma stands in double quotes:
    /// `liver, "tumor, enhancing"`.
    ///
    /// # Errors
    ///
    /// [`Error::UnclosedQuote`] if a quote is not closed.
    pub fn split_list(list: &str) -> Result<Vec<String>> {
        let mut names = vec![String::new()];
        let mut is_quoted = false;
        for letter in list.chars() {
            match letter {
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => names.push(String::new()),
                _ => names.last_mut().expect("the list starts with one name").push(letter),
            }
        }
        if is_quoted {
            return Err(Error::UnclosedQuote { list: list.to_owned() });
        }
        Ok(names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }
}

/// The lower-case words of a text: maximal runs of letters and digits.
pub fn normalized_words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn collision_key(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|letter: char| letter.is_whitespace() || letter == '_');
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn normalize(words: &[String]) -> String {
    let mut words: Vec<&str> = words
        .iter()
        .map(|word| {
            SPELLINGS
                .iter()
                .find(|(variant, _)| variant == word)
                .map_or(word.as_str(), |(_, spelling)| spelling)
        })
        .filter(|word| !STOP_WORDS.contains(word))
        .map(|word| if word.len() > 3 { word.trim_end_matches('s') } else { word })
        .collect();
    words.sort_unstable();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_variants_have_the_same_normalized_name() {
        for name in ["kidney_right", "right kidney", "Right Kidney", "KidneyRight", "kidneys R", "r. kidney"]
        {
            let name = ClassName::parse(name);
            assert_eq!(
                (name.laterality(), name.normalized_without_laterality().as_str()),
                (Some(Laterality::Right), "kidney"),
                "{name:?}"
            );
        }
        let [one, other] = ["Non-enhancing tumour", "tumor (non enhancing)"].map(ClassName::parse);
        assert_eq!(one.normalized(), other.normalized());
    }

    #[test]
    fn a_phrase_starts_with_the_side() {
        for (name, phrase) in [
            ("lung_upper_lobe_left", "left lung upper lobe"),
            ("Anterior", "anterior"),
            ("vertebrae_L1", "vertebrae L1"),
            ("myocardium of the left ventricle", "myocardium of the left ventricle"),
            ("RK", "RK"),
            ("ring on the right", "ring on the right"),
            ("prostate/uterus", "prostate/uterus"),
        ] {
            assert_eq!(ClassName::parse(name).to_phrase(), phrase);
        }
    }

    #[test]
    fn a_chamber_of_the_heart_has_a_laterality_but_no_body_side() {
        let [chamber, kidney, level] =
            ["right ventricle", "kidney_left", "vertebrae_L1"].map(ClassName::parse);
        assert_eq!((chamber.laterality(), chamber.body_side()), (Some(Laterality::Right), None));
        assert_eq!(kidney.body_side(), Some(Laterality::Left));
        assert_eq!(level.laterality(), None);
        assert!(kidney.is_contralateral_to(&ClassName::parse("right kidney")));
        assert!(!kidney.is_contralateral_to(&ClassName::parse("left kidney")));
    }

    #[test]
    fn names_that_differ_in_case_and_blanks_collide() {
        let validate = |names: &[&str]| {
            ClassName::validate(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        for names in [["Liver", "liver"], ["liver", "liver "], ["left_kidney", "Left  kidney"]] {
            let error = validate(&names).unwrap_err();
            assert!(
                matches!(&error, Error::ClassNameCollision { first, second } if [first, second] == names)
            );
        }
        assert!(matches!(validate(&["liver", " "]), Err(Error::EmptyClassName { index: 1 })));
        validate(&["T1+", "T1-", "left kidney", "kidney, left", "liver/tumor <b>"]).unwrap();
    }

    #[test]
    fn a_quoted_name_may_contain_a_comma() {
        let list = ClassName::split_list(" liver, \"tumor, enhancing\",spleen,").unwrap();
        assert_eq!(list, ["liver", "tumor, enhancing", "spleen"]);
        assert!(matches!(ClassName::split_list("\"a, b"), Err(Error::UnclosedQuote { .. })));
    }
}
