//! Class descriptions: titles, concepts, prompts, and the files that hold them.

use std::{fs, path::Path};

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{
    ClassName, Synonyms,
    table::{is_table, read_csv},
};
use crate::{Error, Result};

/// The five concepts of the paper, in its order.
pub const PAPER_CONCEPTS: [&str; 5] = ["shape", "location", "appearance", "contour", "texture"];

/// The descriptions of all classes, in the order of the network's classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptions {
    /// One description per class; all have the same concepts in the same order.
    #[serde(rename = "class")]
    pub classes: Vec<Description>,
}

/// The text of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The class name.
    #[serde(rename = "name")]
    pub class: String,
    /// Class and modality, such as `Liver in a CT image`.
    pub title: String,
    /// The visible attributes of the class.
    #[serde(serialize_with = "write_concepts", deserialize_with = "read_concepts")]
    pub concepts: Vec<Concept>,
}

/// One visible attribute of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concept {
    /// The attribute, such as `shape`.
    pub name: String,
    /// The sentence about it.
    pub sentence: String,
}

impl Descriptions {
    /// Reads a TOML file of `[[class]]` tables or, with the extension `csv`, a table of the paper's authors: a column
    /// `Title`, a column per concept, a row per class in label order.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed, describes no class or one class twice, has an empty text, or if the
    /// classes have different concepts.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path)?, path)
    }

    /// Parses the content of a file as [`Descriptions::read`] does. `path` selects the format by its extension and is
    /// named in errors.
    ///
    /// # Errors
    ///
    /// As [`Descriptions::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut descriptions = Self::parse_unchecked(text, path)?;
        descriptions.check_texts(path)?;
        let concepts = descriptions.common_concepts(path)?;
        descriptions.align_concepts(path, &concepts)?;
        Ok(descriptions)
    }

    /// Reads a file without checking its texts, for tools that report all faults at once.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed.
    pub fn read_unchecked(path: &Path) -> Result<Self> {
        Self::parse_unchecked(&read_text(path)?, path)
    }

    fn parse_unchecked(text: &str, path: &Path) -> Result<Self> {
        if is_table(path) { read_csv(path, text) } else { read_toml(path, text, "descriptions") }
    }

    /// Reorders and renames the descriptions to match the classes of a data set.
    ///
    /// Names are compared without regard to case, blanks and underscores. The rows of a CSV table, whose names come
    /// from its titles, are taken in order if their names differ and their number matches. `path` is the file of the
    /// descriptions, for errors.
    ///
    /// # Errors
    ///
    /// [`Error::MissingDescription`] or [`Error::UnknownClass`].
    pub fn for_classes(&self, path: &Path, classes: &[String]) -> Result<Self> {
        let find = |name: &str| self.classes.iter().find(|known| ClassName::collides(&known.class, name));
        let missing = classes.iter().find(|class| find(class).is_none());
        let unknown =
            self.classes.iter().find(|known| !classes.iter().any(|c| ClassName::collides(c, &known.class)));
        let rows: Vec<&Description> = match (missing, unknown) {
            (None, None) => classes.iter().filter_map(|class| find(class)).collect(),
            _ if is_table(path) && self.classes.len() == classes.len() => self.classes.iter().collect(),
            (Some(class), _) => {
                let (path, class) = (path.to_owned(), class.clone());
                return Err(Error::MissingDescription { path, class, described: self.class_names() });
            }
            (None, Some(description)) => {
                let (path, class) = (path.to_owned(), description.class.clone());
                return Err(Error::UnknownClass { path, class, classes: classes.to_vec() });
            }
        };
        let renamed = rows.into_iter().zip(classes);
        let classes =
            renamed.map(|(row, class)| Description { class: class.clone(), ..row.clone() }).collect();
        Ok(Self { classes })
    }

    /// Replaces the descriptions of the classes that `overrides` describes, under any synonym. Concepts may differ,
    /// because segmentation encodes each class as one prompt. `path` is the file of `overrides`, for errors.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownClass`], [`Error::AmbiguousClass`] or [`Error::ConflictingDescriptions`].
    pub fn override_with(&self, path: &Path, overrides: &Self, synonyms: &Synonyms) -> Result<Self> {
        let classes = self.class_names();
        let mut replacements: Vec<Option<&Description>> = vec![None; classes.len()];
        for description in &overrides.classes {
            let (path, class) = (path.to_owned(), description.class.clone());
            let index = match synonyms.find_classes(&class, &classes)[..] {
                [index] => index,
                [] => return Err(Error::UnknownClass { path, class, classes }),
                ref several => {
                    let matches = several.iter().map(|index| classes[*index].clone()).collect();
                    return Err(Error::AmbiguousClass { path, class, matches });
                }
            };
            if let Some(earlier) = replacements[index].replace(description) {
                let (first, second) = (earlier.class.clone(), class);
                return Err(Error::ConflictingDescriptions {
                    path,
                    class: classes[index].clone(),
                    first,
                    second,
                });
            }
        }
        let pairs = self.classes.iter().zip(replacements);
        let overridden = pairs.map(|(trained, replacement)| Description {
            class: trained.class.clone(),
            ..replacement.unwrap_or(trained).clone()
        });
        Ok(Self { classes: overridden.collect() })
    }

    /// Replaces the descriptions of the classes that the file of a single case describes. The file has the format of
    /// [`Descriptions::read`] and the concepts of these descriptions.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed, describes another class, or lacks or adds a concept.
    pub fn with_case_overrides(&self, path: &Path) -> Result<Self> {
        let concepts = self.common_concepts(path)?;
        let mut overrides = Self::read_unchecked(path)?;
        overrides.check_texts(path)?;
        overrides.align_concepts(path, &concepts)?;
        let mut overridden = self.clone();
        for description in overrides.classes {
            let mut known = overridden.classes.iter_mut();
            let Some(class) = known.find(|c| ClassName::collides(&c.class, &description.class)) else {
                let (path, class) = (path.to_owned(), description.class);
                return Err(Error::UnknownClass { path, class, classes: self.class_names() });
            };
            *class = Description { class: class.class.clone(), ..description };
        }
        Ok(overridden)
    }

    /// The content of a TOML file that [`Descriptions::read`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("descriptions have a TOML form")
    }

    /// The names of all classes.
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(|description| description.class.clone()).collect()
    }

    /// The prompt of each class.
    pub fn prompts(&self) -> Vec<String> {
        self.classes.iter().map(Description::prompt).collect()
    }

    /// The prompt of each class, with one concept of one class left out.
    pub fn prompts_without_concept(&self, class: usize, concept: usize) -> Vec<String> {
        let mut reduced = self.clone();
        reduced.classes[class].concepts.remove(concept);
        reduced.prompts()
    }

    fn check_texts(&self, path: &Path) -> Result<()> {
        if self.classes.is_empty() {
            return Err(Error::NoClasses { path: path.to_owned() });
        }
        for (index, Description { class, title, concepts }) in self.classes.iter().enumerate() {
            if self.classes[..index].iter().any(|earlier| ClassName::collides(&earlier.class, class)) {
                return Err(Error::DuplicateClass { path: path.to_owned(), class: class.clone() });
            }
            let sentences = concepts.iter().map(|concept| (concept.name.as_str(), &concept.sentence));
            let mut texts = [("name", class), ("title", title)].into_iter().chain(sentences);
            if let Some((field, _)) = texts.find(|(_, text)| text.trim().is_empty()) {
                let (path, field) = (path.to_owned(), field.to_owned());
                return Err(Error::EmptyText { path, class: class.clone(), field });
            }
        }
        Ok(())
    }

    /// The concepts that all classes should have, in the order of the first class: those of most classes, in a tie
    /// those of the first class.
    fn common_concepts(&self, path: &Path) -> Result<Vec<String>> {
        let mut counts: IndexMap<&str, usize> = IndexMap::new();
        for concept in self.classes.iter().flat_map(|class| &class.concepts) {
            *counts.entry(&concept.name).or_default() += 1;
        }
        let first = self.classes.first().map_or(&[][..], |class| &class.concepts);
        let is_common = |name: &str, count: usize| {
            let in_first = usize::from(first.iter().any(|concept| concept.name == name));
            2 * count + in_first > self.classes.len()
        };
        let common = counts.iter().filter(|(name, count)| is_common(name, **count));
        let mut common: Vec<String> = common.map(|(name, _)| (*name).to_owned()).collect();
        if common.is_empty() {
            common = first.iter().map(|concept| concept.name.clone()).collect();
        }
        if common.is_empty() {
            let class = self.classes.first().map_or_else(String::new, |class| class.class.clone());
            return Err(Error::NoConcepts { path: path.to_owned(), class });
        }
        Ok(common)
    }

    /// Sorts the concepts of every class into the order of `names`.
    fn align_concepts(&mut self, path: &Path, names: &[String]) -> Result<()> {
        for Description { class, concepts, .. } in &mut self.classes {
            if let Some(missing) = names.iter().find(|name| concepts.iter().all(|c| c.name != **name)) {
                let (class, concept) = (class.clone(), missing.clone());
                return Err(Error::MissingConcept { path: path.to_owned(), class, concept });
            }
            if let Some(extra) = concepts.iter().find(|concept| !names.contains(&concept.name)) {
                return Err(Error::UnknownConcept {
                    path: path.to_owned(),
                    class: class.clone(),
                    concept: extra.name.clone(),
                    concepts: names.to_vec(),
                });
            }
            concepts.sort_by_key(|concept| names.iter().position(|name| *name == concept.name));
        }
        Ok(())
    }
}

impl Description {
    /// The whole text of the class: title, then each sentence after the name of its concept.
    pub fn prompt(&self) -> String {
        let concepts = self.concepts.iter().map(Concept::named_sentence);
        std::iter::once(format!("{}.", self.title)).chain(concepts).collect::<Vec<_>>().join(" ")
    }

    /// The title, then each sentence after the name of its concept.
    pub fn sentences(&self) -> Vec<String> {
        let concepts = self.concepts.iter().map(Concept::named_sentence);
        std::iter::once(self.title.clone()).chain(concepts).collect()
    }
}

impl Concept {
    /// The sentence after the capitalized name: `Shape: A large wedge.`
    pub fn named_sentence(&self) -> String {
        let mut letters = self.name.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        format!("{}: {}", first.chain(letters).collect::<String>(), self.sentence)
    }
}

/// Reads a UTF-8 file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| Error::io(path, source))?;
    String::from_utf8(bytes)
        .map_err(|error| Error::Encoding { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })
}

/// Parses the content of a TOML file; errors name the line.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path, text: &str, kind: &'static str) -> Result<T> {
    let text = text.trim_start_matches('\u{feff}');
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Error::Toml { path: path.to_owned(), line, kind, reason: error.message().to_owned() }
    })
}

fn write_concepts<S: Serializer>(
    concepts: &[Concept],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(concepts.iter().map(|concept| (&concept.name, &concept.sentence)))
}

fn read_concepts<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Concept>, D::Error> {
    let table = IndexMap::<String, String>::deserialize(deserializer)?;
    Ok(table.into_iter().map(|(name, sentence)| Concept { name, sentence }).collect())
}
