//! A class and its concepts; reads descriptions and builds the sentences.

use std::{collections::HashSet, fs, path::Path};

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::Synonyms;
use crate::{Error, Result};

/// The five concepts of the paper, in its order; columns of a table that name one of them get its name.
pub const PAPER_CONCEPTS: [&str; 5] = ["shape", "location", "appearance", "contour", "texture"];

/// The descriptions of all classes, in the order of the network's classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptions {
    /// One description per class; all have the same concepts in the same order.
    #[serde(rename = "class")]
    pub classes: Vec<Description>,
}

/// All text of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The name of the class.
    #[serde(rename = "name")]
    pub class: String,
    /// Class and modality in words, such as "Liver in a CT image".
    pub title: String,
    /// What can be seen of the class, concept by concept.
    #[serde(serialize_with = "write_concepts", deserialize_with = "read_concepts")]
    pub concepts: Vec<Concept>,
}

/// One visually observable attribute of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concept {
    /// What the sentence is about, such as "shape".
    pub name: String,
    /// The sentence.
    pub sentence: String,
}

impl Descriptions {
    /// Reads a TOML file of `[[class]]` tables or, by its extension, a CSV table in the form of the
    /// paper's authors: a column `Title`, a column per concept, a row per class in label order.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, names no class, names one twice, leaves a text empty, or when the
    /// classes do not all have the same concepts.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::parse(&text, path)
    }

    /// [`Descriptions::read`] of a text; `path` names it in messages, and its extension says its form.
    ///
    /// # Errors
    ///
    /// As [`Descriptions::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut descriptions = Self::parse_draft(text, path)?;
        descriptions.check_texts(path)?;
        descriptions.align_concepts(path)?;
        Ok(descriptions)
    }

    /// Reads a file as [`Descriptions::read`] does, without a look at its texts: for whoever wants to know all that
    /// is wrong with them.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has another form.
    pub fn read_draft(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::parse_draft(&text, path)
    }

    fn parse_draft(text: &str, path: &Path) -> Result<Self> {
        if is_table(path) { read_csv(path, text) } else { read_toml(path, text, "a description of classes") }
    }

    /// The descriptions in the order of a data set's classes, under the data set's names.
    ///
    /// Names are compared without regard to case. A table names its classes only loosely, so a table
    /// with as many rows as there are classes is taken row by row where its names differ. `path` is the
    /// file the descriptions came from.
    ///
    /// # Errors
    ///
    /// When a class has no description or a description no class.
    pub fn for_classes(&self, path: &Path, classes: &[String]) -> Result<Self> {
        let named = |name: &str| self.classes.iter().find(|known| is_same_name(&known.class, name));
        let undescribed = classes.iter().find(|class| named(class).is_none());
        let unused = self.classes.iter().find(|known| !classes.iter().any(|c| is_same_name(c, &known.class)));
        let rows: Vec<&Description> = match (undescribed, unused) {
            (None, None) => classes.iter().filter_map(|class| named(class)).collect(),
            _ if is_table(path) && self.classes.len() == classes.len() => self.classes.iter().collect(),
            (Some(class), _) => {
                let known: Vec<&str> = self.classes.iter().map(|known| known.class.as_str()).collect();
                let expected = format!("a description of the class \"{class}\"");
                return Err(Error::content(path, expected, format!("only {}", known.join(", "))));
            }
            (None, Some(description)) => {
                let expected = format!("descriptions of {} alone", classes.join(", "));
                return Err(Error::content(path, expected, format!("one of \"{}\"", description.class)));
            }
        };
        let renamed = rows.into_iter().zip(classes);
        let classes =
            renamed.map(|(row, class)| Description { class: class.clone(), ..row.clone() }).collect();
        Ok(Self { classes })
    }

    /// These descriptions with those of `others` in the place of the classes that they describe; what a name
    /// means, `synonyms` says. The concepts of both may differ: segmentation reads each class as one text.
    /// `path` is the file that `others` came from.
    ///
    /// # Errors
    ///
    /// When a description is of none of these classes, of several, or of one that another is of too.
    pub fn replaced_by(&self, path: &Path, others: &Self, synonyms: &Synonyms) -> Result<Self> {
        let classes: Vec<String> = self.classes.iter().map(|known| known.class.clone()).collect();
        let mut replaced: Vec<Option<&Description>> = vec![None; classes.len()];
        for other in &others.classes {
            let found = synonyms.find_classes(&other.class, &classes);
            let [place] = found[..] else {
                let names: Vec<&str> = found.iter().map(|place| classes[*place].as_str()).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(" and ") };
                let expected = format!("one class for \"{}\" among {}", other.class, classes.join(", "));
                return Err(Error::content(path, expected, names));
            };
            if let Some(earlier) = replaced[place].replace(other) {
                let expected = format!("one description of the class \"{}\"", classes[place]);
                let found = format!("\"{}\" and \"{}\"", earlier.class, other.class);
                return Err(Error::content(path, expected, found));
            }
        }
        let chosen = self.classes.iter().zip(replaced).map(|(trained, other)| Description {
            class: trained.class.clone(),
            ..other.unwrap_or(trained).clone()
        });
        Ok(Self { classes: chosen.collect() })
    }

    /// These descriptions with what the file `path` says of some of the classes in one case in their place;
    /// the file has the form that [`Descriptions::read`] reads, and the concepts are these.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, describes a class that is none of these, or has other concepts.
    pub fn of_case(&self, path: &Path) -> Result<Self> {
        let mut of_case = self.clone();
        for own in Self::read(path)?.classes {
            let Some(common) = of_case.classes.iter_mut().find(|c| is_same_name(&c.class, &own.class)) else {
                let names: Vec<&str> = self.classes.iter().map(|common| common.class.as_str()).collect();
                let expected = format!("descriptions of {} alone", names.join(", "));
                return Err(Error::content(path, expected, format!("one of \"{}\"", own.class)));
            };
            *common = Description { class: common.class.clone(), ..own };
        }
        of_case.align_concepts(path)?;
        Ok(of_case)
    }

    /// As a TOML file, which [`Descriptions::read`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("descriptions have a TOML form")
    }

    /// The whole text of each class, with one concept of one class left out.
    pub fn full_texts_without(&self, class: usize, concept: usize) -> Vec<String> {
        let text = |(place, description): (usize, &Description)| {
            let mut description = description.clone();
            if place == class {
                description.concepts.remove(concept);
            }
            description.prompt()
        };
        self.classes.iter().enumerate().map(text).collect()
    }

    fn check_texts(&self, path: &Path) -> Result<()> {
        if self.classes.is_empty() {
            return Err(Error::content(path, "at least one class", "none"));
        }
        let mut seen = HashSet::new();
        for description in &self.classes {
            let class = &description.class;
            if !seen.insert(class.to_lowercase()) {
                return Err(Error::content(path, "each class once", format!("\"{class}\" twice")));
            }
            let title = [("name", class), ("title", &description.title)];
            let sentences = description.concepts.iter().map(|c| (c.name.as_str(), &c.sentence));
            if let Some((key, _)) =
                title.into_iter().chain(sentences).find(|(_, text)| text.trim().is_empty())
            {
                let expected = format!("a text for \"{key}\" of the class \"{class}\"");
                return Err(Error::content(path, expected, "an empty one"));
            }
        }
        Ok(())
    }

    /// Puts the concepts of every class into the order of the first.
    fn align_concepts(&mut self, path: &Path) -> Result<()> {
        let names: Vec<String> = self.classes[0].concepts.iter().map(|c| c.name.clone()).collect();
        if names.is_empty() {
            let expected = format!("concepts of the class \"{}\"", self.classes[0].class);
            return Err(Error::content(path, expected, "none"));
        }
        for Description { class, concepts, .. } in &mut self.classes {
            if let Some(extra) = concepts.iter().find(|concept| !names.contains(&concept.name)) {
                let expected = format!("the concepts {} of the class \"{class}\"", names.join(", "));
                return Err(Error::content(path, expected, format!("also \"{}\"", extra.name)));
            }
            if let Some(missing) = names.iter().find(|name| concepts.iter().all(|c| c.name != **name)) {
                let expected = format!("the concept \"{missing}\" of the class \"{class}\"");
                return Err(Error::content(path, expected, "none"));
            }
            concepts.sort_by_key(|concept| names.iter().position(|name| *name == concept.name));
        }
        Ok(())
    }
}

impl Description {
    /// The text of the whole class: the title with a full stop, then every concept's sentence behind
    /// the concept's name.
    pub fn prompt(&self) -> String {
        let concepts = self.concepts.iter().map(Concept::named_sentence);
        std::iter::once(format!("{}.", self.title)).chain(concepts).collect::<Vec<_>>().join(" ")
    }

    /// The title, then every concept's sentence behind the concept's name.
    pub fn sentences(&self) -> Vec<String> {
        let concepts = self.concepts.iter().map(Concept::named_sentence);
        std::iter::once(self.title.clone()).chain(concepts).collect()
    }
}

impl Concept {
    fn named_sentence(&self) -> String {
        let mut letters = self.name.chars();
        let first = letters.next().map(char::to_uppercase).into_iter().flatten();
        format!("{}: {}", first.chain(letters).collect::<String>(), self.sentence)
    }
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

fn is_same_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// Reads what a TOML file should hold; an error names the line.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path, text: &str, expected: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        Error::content(path, expected, format!("line {line}: {}", error.message()))
    })
}

fn read_csv(path: &Path, text: &str) -> Result<Descriptions> {
    let malformed = |error: csv::Error| Error::content(path, "a table of descriptions", error.to_string());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().map_err(malformed)?.iter().map(concept_name).collect();
    let Some(title) = names.iter().position(|name| name == "title") else {
        return Err(Error::content(path, "a column \"Title\"", names.join(", ")));
    };
    let mut classes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let columns = names.iter().zip(&record).filter(|(name, _)| !name.is_empty() && *name != "title");
        classes.push(Description {
            class: class_of_title(&record[title]),
            title: record[title].to_owned(),
            concepts: columns
                .map(|(name, cell)| Concept { name: name.clone(), sentence: cell.to_owned() })
                .collect(),
        });
    }
    Ok(Descriptions { classes })
}

/// The concept a column is about: "Appearance/Density" is the appearance, "Internal Texture" the texture.
fn concept_name(header: &str) -> String {
    let header = header.trim_start_matches('\u{feff}').trim().to_lowercase();
    let words: Vec<&str> = header.split(|letter: char| !letter.is_alphanumeric()).collect();
    let known = PAPER_CONCEPTS.into_iter().find(|concept| words.contains(concept));
    known.map_or(header.clone(), str::to_owned)
}

/// "Right Kidney in a CT Image" describes the right kidney.
fn class_of_title(title: &str) -> String {
    let title = title.to_lowercase();
    let end = [" in a ", " in an "].into_iter().filter_map(|article| title.find(article)).min();
    title[..end.unwrap_or(title.len())].trim().to_owned()
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
