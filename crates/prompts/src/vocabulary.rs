//! What several data sets label, as one list of concepts: which set and which case says what of each.
//!
//! The same structure of two sets is one concept, found by its name (side, plural, spelling) and synonyms. A whole is
//! labeled where all of its parts are; a part is not labeled by its whole. What a set says nothing of is unknown, and
//! an unknown prompt is never drawn: what is visible and unnamed must not be learned as background.

use std::collections::HashMap;

use bipvl_text::ClassName;
use serde::{Deserialize, Serialize};

use crate::{PromptTexts, case_labels::CaseLabels};

/// What a case says of a concept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Nothing: no loss, never a prompt.
    Unknown,
    /// Exhaustively labeled by these class indices of the prepared labels; the mask may be empty.
    Labeled(Vec<u8>),
    /// Declared absent: the mask is empty.
    Absent,
}

/// A structure with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concept {
    /// Its name in words, such as `left kidney`.
    pub name: String,
    /// Places of its parts in the vocabulary; none of a concept that a set labels itself.
    pub parts: Vec<usize>,
    /// The place of the same structure on the other side.
    pub contralateral: Option<usize>,
    /// Its names, sentences and full description.
    pub texts: PromptTexts,
    /// What each set says of it, in the order of the sets.
    pub sets: Vec<Knowledge>,
}

/// All concepts of a training.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Names of the data sets.
    pub sets: Vec<String>,
    /// Those that sets label first, then their unions.
    pub concepts: Vec<Concept>,
}

impl Vocabulary {
    /// The usual name of every concept.
    pub fn names(&self) -> Vec<&str> {
        self.concepts.iter().map(|concept| concept.name.as_str()).collect()
    }

    /// Places of the concepts that one is made of: itself, or its parts.
    pub fn atoms(&self, concept: usize) -> Vec<usize> {
        let parts = &self.concepts[concept].parts;
        if parts.is_empty() { vec![concept] } else { parts.clone() }
    }

    /// Whether a concept is a whole, or a part of one.
    pub fn is_within_whole(&self, concept: usize) -> bool {
        let is_whole = !self.concepts[concept].parts.is_empty();
        is_whole || self.concepts.iter().any(|whole| whole.parts.contains(&concept))
    }

    /// Whether two concepts share a part, so that their masks may overlap.
    pub fn overlap(&self, one: usize, other: usize) -> bool {
        let atoms = self.atoms(one);
        self.atoms(other).iter().any(|atom| atoms.contains(atom))
    }

    /// What a case of a set says of every concept. `case` is what was contoured in it, where its set says so case by
    /// case.
    pub fn knowledge(&self, set: usize, case: Option<&CaseLabels>) -> Vec<Knowledge> {
        let of_atom = |atom: usize| {
            let concept = &self.concepts[atom];
            let names: Vec<String> =
                concept.texts.names.iter().map(|name| ClassName::parse(name).normalized()).collect();
            let is_one_of = |classes: &[String]| {
                classes.iter().any(|class| names.contains(&ClassName::parse(class).normalized()))
            };
            match (&concept.sets[set], case) {
                (Knowledge::Labeled(_), Some(case)) if is_one_of(&case.absent) => Knowledge::Absent,
                (Knowledge::Labeled(_), Some(case)) if !is_one_of(&case.labeled) => Knowledge::Unknown,
                (knowledge, _) => knowledge.clone(),
            }
        };
        (0..self.concepts.len()).map(|concept| unite(self.atoms(concept).into_iter().map(of_atom))).collect()
    }

    /// The concept of a prompt, by its name without regard to side order, case, plural, spelling.
    pub fn find(&self, prompt: &str) -> Option<usize> {
        let wanted = ClassName::parse(prompt).normalized();
        let is_it = |concept: &Concept| {
            concept.texts.names.iter().any(|name| ClassName::parse(name).normalized() == wanted)
        };
        self.concepts.iter().position(is_it)
    }

    /// For each concept, those whose prompts are hard negatives: its other side, and those that share a whole with it.
    pub fn hard_negatives(&self) -> Vec<Vec<usize>> {
        let mut wholes: HashMap<usize, Vec<usize>> = HashMap::new();
        for (whole, concept) in self.concepts.iter().enumerate() {
            for part in &concept.parts {
                wholes.entry(*part).or_default().push(whole);
            }
        }
        let siblings = |concept: usize| {
            let of_whole = |whole: &usize| self.concepts[*whole].parts.clone();
            let wholes = wholes.get(&concept).map_or(&[][..], Vec::as_slice);
            let mut all: Vec<usize> = wholes.iter().flat_map(of_whole).collect();
            all.extend(self.concepts[concept].contralateral);
            all.retain(|other| !self.overlap(*other, concept));
            all.sort_unstable();
            all.dedup();
            all
        };
        (0..self.concepts.len()).map(siblings).collect()
    }
}

/// What is known of a union: labeled where all parts are labeled or absent, at least one of them labeled; absent
/// where all are.
fn unite(parts: impl Iterator<Item = Knowledge>) -> Knowledge {
    let mut labels = Vec::new();
    let mut is_labeled = false;
    for part in parts {
        match part {
            Knowledge::Unknown => return Knowledge::Unknown,
            Knowledge::Labeled(of_part) => {
                is_labeled = true;
                labels.extend(of_part);
            }
            Knowledge::Absent => {}
        }
    }
    labels.sort_unstable();
    labels.dedup();
    if is_labeled { Knowledge::Labeled(labels) } else { Knowledge::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(name: &str, parts: &[usize], sets: Vec<Knowledge>) -> Concept {
        let texts = PromptTexts::from_names(vec![name.to_owned()]);
        Concept { name: name.to_owned(), parts: parts.to_vec(), contralateral: None, texts, sets }
    }

    /// A set labels both kidneys and declares the liver absent, another labels the liver alone.
    fn vocabulary() -> Vocabulary {
        let labeled = |label| Knowledge::Labeled(vec![label]);
        Vocabulary {
            sets: vec!["kidneys".to_owned(), "liver".to_owned()],
            concepts: vec![
                concept("left kidney", &[], vec![labeled(1), Knowledge::Unknown]),
                concept("right kidney", &[], vec![labeled(2), Knowledge::Unknown]),
                concept("liver", &[], vec![Knowledge::Absent, labeled(1)]),
                concept("kidney", &[0, 1], vec![Knowledge::Unknown; 2]),
            ],
        }
    }

    #[test]
    fn a_whole_is_labeled_where_all_parts_are() {
        let vocabulary = vocabulary();
        let first = vocabulary.knowledge(0, None);
        assert_eq!(first[3], Knowledge::Labeled(vec![1, 2]));
        assert_eq!(first[2], Knowledge::Absent);
        assert_eq!(vocabulary.knowledge(1, None)[3], Knowledge::Unknown);
    }

    #[test]
    fn what_was_not_contoured_in_a_case_is_unknown_and_so_is_its_whole() {
        let case = CaseLabels { labeled: vec!["kidney, left".to_owned()], absent: Vec::new() };
        let knowledge = vocabulary().knowledge(0, Some(&case));
        assert_eq!(knowledge[0], Knowledge::Labeled(vec![1]));
        assert_eq!(knowledge[1], Knowledge::Unknown);
        assert_eq!(knowledge[3], Knowledge::Unknown);
    }

    #[test]
    fn a_case_may_declare_a_class_absent() {
        let [left, right] = ["left kidney", "right kidney"].map(|name| vec![name.to_owned()]);
        let knowledge = vocabulary().knowledge(0, Some(&CaseLabels { labeled: left, absent: right }));
        assert_eq!(knowledge[1], Knowledge::Absent);
        assert_eq!(knowledge[3], Knowledge::Labeled(vec![1]));
    }

    #[test]
    fn siblings_are_hard_negatives_and_wholes_are_not() {
        assert_eq!(vocabulary().hard_negatives(), [vec![1], vec![0], vec![], vec![]]);
    }

    #[test]
    fn prompts_are_found_under_any_spelling() {
        let vocabulary = vocabulary();
        assert_eq!(vocabulary.find("Kidney_Left"), Some(0));
        assert_eq!(vocabulary.find("kidneys"), Some(3));
        assert_eq!(vocabulary.find("spleen"), None);
    }
}
