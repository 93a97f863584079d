//! Built-in descriptions of common structures, found by name.

use std::sync::LazyLock;

use serde::Deserialize;

use super::prompt_title;
use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description, Laterality};

/// Placeholder of the side in a location.
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

/// One structure; the header of the file explains the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Structure {
    name: String,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    ambiguous: Vec<String>,
    #[serde(default)]
    ambiguous_in: Vec<String>,
    #[serde(default)]
    abbreviations: Vec<String>,
    #[serde(default)]
    paired: bool,
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

/// The built-in description of a class, found by its name or a synonym.
///
/// `dataset`, the name of the data set, resolves a few ambiguous names: `Anterior` is a part of the hippocampus in
/// `Task04_Hippocampus`.
pub fn builtin_description(class: &str, dataset: &str, modality: Modality) -> Option<Description> {
    let sides = [None, Some(Laterality::Left), Some(Laterality::Right)];
    let (structure, side) = STRUCTURES
        .iter()
        .flat_map(|structure| sides.map(|side| (structure, side)))
        .find(|(structure, side)| structure.matches(class, *side, dataset))?;
    structure.describe(class, side, modality)
}

impl Structure {
    /// Whether a class name denotes this structure on this side.
    fn matches(&self, class: &str, side: Option<Laterality>, dataset: &str) -> bool {
        let name = ClassName::parse(class);
        let Some(side) = side else { return self.has_name(&name.normalized(), dataset) };
        let letter = side.as_str().chars().take(1);
        let is_short = |short: &String| {
            class.trim().to_lowercase() == letter.clone().chain(short.chars()).collect::<String>()
        };
        let is_long =
            name.laterality() == Some(side) && self.has_name(&name.normalized_without_laterality(), dataset);
        self.paired && (is_long || self.abbreviations.iter().any(is_short))
    }

    fn has_name(&self, key: &str, dataset: &str) -> bool {
        let dataset = dataset.to_lowercase();
        let is_there = self.ambiguous_in.iter().any(|word| dataset.contains(word));
        let ambiguous = self.ambiguous.iter().filter(|_| is_there);
        let mut names = [&self.name].into_iter().chain(&self.synonyms).chain(ambiguous);
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
    /// Words of a sentence.
    const WORDS: std::ops::RangeInclusive<usize> = 7..=26;

    fn all(modality: Modality) -> Descriptions {
        let sides = |structure: &Structure| {
            if structure.paired { vec![Some(Laterality::Left), Some(Laterality::Right)] } else { vec![None] }
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
    fn the_builtin_descriptions_have_no_findings() {
        for modality in MODALITIES {
            let findings = lint(&all(modality), Some(modality), None);
            assert!(findings.is_empty(), "{findings:#?}");
        }
    }

    #[test]
    fn sentences_have_a_reasonable_length_and_no_placeholder() {
        for description in MODALITIES.into_iter().flat_map(|modality| all(modality).classes) {
            for Concept { name, sentence } in &description.concepts {
                let count = sentence.split_whitespace().count();
                assert!(WORDS.contains(&count), "{}, {name}: {count} words", description.class);
                assert!(sentence.ends_with('.') && !sentence.contains(['{', '}']), "{sentence}");
            }
        }
    }

    #[test]
    fn no_text_of_a_paired_structure_names_the_opposite_side() {
        for structure in STRUCTURES.iter().filter(|structure| structure.paired) {
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
    fn no_name_denotes_two_structures() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for structure in STRUCTURES.iter() {
            let names = [&structure.name].into_iter().chain(&structure.synonyms).chain(&structure.ambiguous);
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
