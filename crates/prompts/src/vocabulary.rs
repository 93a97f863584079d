//! What several data sets label, as one list of concepts: which set and which case says what of each.
//!
//! The same structure of two sets is one concept, found by its name (side, plural, spelling) and synonyms. A whole is
//! labelled where all of its parts are; a part is not labelled by its whole. What a set says nothing of is unknown, and
//! an unknown prompt is never drawn: what is visible and unnamed must not be learned as background.

use std::collections::HashMap;

use bipvl_text::ClassName;
use serde::{Deserialize, Serialize};

use crate::PromptTexts;

/// What a case says of a concept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Nothing: no loss, never a prompt.
    Unknown,
    /// Exhaustively labelled by these class indices of the prepared labels; the mask may be empty.
    Labelled(Vec<u8>),
    /// Declared absent: the mask is empty.
    Absent,
}

/// One thing that can be asked for by name.
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
    /// Places of the concepts that one is made of: itself, or its parts.
    pub fn atoms(&self, concept: usize) -> Vec<usize> {
        let parts = &self.concepts[concept].parts;
        if parts.is_empty() { vec![concept] } else { parts.clone() }
    }

    /// Whether two concepts share a part, so that their masks may overlap.
    pub fn overlap(&self, one: usize, other: usize) -> bool {
        let atoms = self.atoms(one);
        self.atoms(other).iter().any(|atom| atoms.contains(atom))
    }

    /// What a case of a set says of every concept. `labelled` holds the names of the classes that were contoured in the
    /// case where its set says so case by case.
    pub fn knowledge(&self, set: usize, labelled: Option<&[String]>) -> Vec<Knowledge> {
        let contoured: Option<Vec<String>> =
            labelled.map(|names| names.iter().map(|name| ClassName::parse(name).normalized()).collect());
        let of_atom = |atom: usize| {
            let concept = &self.concepts[atom];
            let is_contoured = contoured.as_ref().is_none_or(|contoured| {
                concept
                    .texts
                    .names
                    .iter()
                    .any(|name| contoured.contains(&ClassName::parse(name).normalized()))
            });
            match &concept.sets[set] {
                Knowledge::Labelled(_) if !is_contoured => Knowledge::Unknown,
                knowledge => knowledge.clone(),
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

/// What is known of a union: labelled where all parts are labelled or absent, at least one of them labelled; absent
/// where all are.
fn unite(parts: impl Iterator<Item = Knowledge>) -> Knowledge {
    let mut labels = Vec::new();
    let mut is_labelled = false;
    for part in parts {
        match part {
            Knowledge::Unknown => return Knowledge::Unknown,
            Knowledge::Labelled(of_part) => {
                is_labelled = true;
                labels.extend(of_part);
            }
            Knowledge::Absent => {}
        }
    }
    labels.sort_unstable();
    labels.dedup();
    if is_labelled { Knowledge::Labelled(labels) } else { Knowledge::Absent }
}
