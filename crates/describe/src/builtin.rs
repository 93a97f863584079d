//! What common structures look like: texts of our own, found by name.

use std::sync::LazyLock;

use serde::Deserialize;

use super::prompt_title;
use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description, Laterality};

/// The place in a location where the side is said.
const WHERE: &str = "{where}";

static STRUCTURES: LazyLock<Vec<Structure>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("builtin.toml")).expect("a test reads the file");
    file.structure
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    structure: Vec<Structure>,
}

/// One structure; the head of the file explains the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Structure {
    name: String,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    loose: Vec<String>,
    #[serde(default)]
    loose_in: Vec<String>,
    #[serde(default)]
    short: Vec<String>,
    #[serde(default)]
    sided: bool,
    shape: String,
    location: Option<String>,
    left: Option<String>,
    right: Option<String>,
    both: Option<String>,
    ct: String,
    mr: String,
    contour: String,
    texture: String,
}

/// The description of a class that is known by its name or a synonym, under that name.
///
/// `dataset` is the name of the data set, for a few names that mean something only there: `Anterior` is a
/// part of the hippocampus where the data set's name says so.
pub fn builtin_description(class: &str, dataset: &str, modality: Modality) -> Option<Description> {
    let sides = [None, Some(Laterality::Left), Some(Laterality::Right)];
    let (structure, side) = STRUCTURES
        .iter()
        .flat_map(|structure| sides.map(|side| (structure, side)))
        .find(|(structure, side)| structure.is_called(class, *side, dataset))?;
    structure.describe(class, side, modality)
}

impl Structure {
    /// Whether a class of this name is this structure on this side.
    fn is_called(&self, class: &str, side: Option<Laterality>, dataset: &str) -> bool {
        let name = ClassName::parse(class);
        let Some(side) = side else { return self.has_name(&name.normalized(), dataset) };
        let letter = side.as_str().chars().take(1);
        let is_short = |short: &String| {
            class.trim().to_lowercase() == letter.clone().chain(short.chars()).collect::<String>()
        };
        let is_long =
            name.laterality() == Some(side) && self.has_name(&name.normalized_without_laterality(), dataset);
        self.sided && (is_long || self.short.iter().any(is_short))
    }

    fn has_name(&self, key: &str, dataset: &str) -> bool {
        let dataset = dataset.to_lowercase();
        let is_there = self.loose_in.iter().any(|word| dataset.contains(word));
        let loose = self.loose.iter().filter(|_| is_there);
        let mut names = [&self.name].into_iter().chain(&self.synonyms).chain(loose);
        names.any(|known| ClassName::parse(known).normalized() == key)
    }

    fn describe(&self, class: &str, side: Option<Laterality>, modality: Modality) -> Option<Description> {
        let name = side.map_or(self.name.clone(), |side| format!("{} {}", side.as_str(), self.name));
        let appearance = match modality {
            Modality::Ct => &self.ct,
            Modality::Mr => &self.mr,
        };
        let location = self.location(side)?;
        let sentences = [
            ("shape", &self.shape),
            ("location", &location),
            ("appearance", appearance),
            ("contour", &self.contour),
            ("texture", &self.texture),
        ];
        let concept =
            |(name, sentence): (&str, &String)| Concept { name: name.to_owned(), sentence: sentence.clone() };
        Some(Description {
            class: class.to_owned(),
            title: prompt_title(&name, modality),
            concepts: sentences.map(concept).into(),
        })
    }

    fn location(&self, side: Option<Laterality>) -> Option<String> {
        let (own, place) = match side {
            Some(Laterality::Left) => (&self.left, "on the left side"),
            Some(Laterality::Right) => (&self.right, "on the right side"),
            None => (&self.both, "on both sides"),
        };
        own.clone().or_else(|| self.location.as_ref().map(|text| text.replace(WHERE, place)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::lint;
    use bipvl_text::{Descriptions, normalized_words};

    const MODALITIES: [Modality; 2] = [Modality::Ct, Modality::Mr];
    /// Of a sentence; beside its name a concept should say something, and briefly.
    const WORDS: std::ops::RangeInclusive<usize> = 7..=26;

    fn all(modality: Modality) -> Descriptions {
        let sides = |structure: &Structure| {
            if structure.sided { vec![Some(Laterality::Left), Some(Laterality::Right)] } else { vec![None] }
        };
        let described = |structure: &'static Structure| {
            sides(structure).into_iter().filter_map(move |side| {
                let name = side
                    .map_or(structure.name.clone(), |side| format!("{} {}", side.as_str(), structure.name));
                structure.describe(&name, side, modality)
            })
        };
        Descriptions { classes: STRUCTURES.iter().flat_map(described).collect() }
    }

    #[test]
    fn the_linter_finds_nothing_in_all_of_it_together() {
        for modality in MODALITIES {
            let findings = lint(&all(modality), Some(modality), None);
            assert!(findings.is_empty(), "{findings:#?}");
        }
    }

    #[test]
    fn sentences_are_neither_short_nor_long_and_have_no_gaps() {
        for description in MODALITIES.into_iter().flat_map(|modality| all(modality).classes) {
            for Concept { name, sentence } in &description.concepts {
                let count = sentence.split_whitespace().count();
                assert!(WORDS.contains(&count), "{}, {name}: {count} words", description.class);
                assert!(sentence.ends_with('.') && !sentence.contains(['{', '}']), "{sentence}");
            }
        }
    }

    #[test]
    fn no_text_of_a_sided_structure_names_the_other_side() {
        for structure in STRUCTURES.iter().filter(|structure| structure.sided) {
            for side in [Laterality::Left, Laterality::Right] {
                let Some(description) = structure.describe("", Some(side), Modality::Ct) else { continue };
                let words = normalized_words(&description.prompt());
                assert!(words.iter().any(|word| word == side.as_str()), "{}", description.title);
                assert!(
                    words.iter().all(|word| word != side.opposite().as_str()),
                    "{}",
                    description.prompt()
                );
            }
        }
    }

    #[test]
    fn no_name_stands_for_two_structures() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for structure in STRUCTURES.iter() {
            let names = [&structure.name].into_iter().chain(&structure.synonyms).chain(&structure.loose);
            for name in names {
                let other = seen.insert(ClassName::parse(name).normalized(), &structure.name);
                assert!(
                    other.is_none_or(|other| other == structure.name),
                    "{name}: {other:?} and {}",
                    structure.name
                );
            }
        }
    }
}
