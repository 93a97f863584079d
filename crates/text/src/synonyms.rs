//! Synonyms of organs: common, Latin and short names, and the class names of public data sets.

use std::{collections::HashMap, ops::RangeInclusive, path::Path};

use indexmap::IndexMap;
use serde::Deserialize;

use super::{
    class_name::{ClassName, Laterality, normalized_words},
    description::{read_text, read_toml},
};
use crate::{Error, Result};

const BUILTIN: &str = include_str!("synonyms.toml");

/// Maps names to organs.
///
/// ```
/// use bipvl_text::Synonyms;
///
/// let synonyms = Synonyms::builtin();
/// assert_eq!(synonyms.canonical("postcava"), Some("inferior vena cava"));
/// assert_eq!(synonyms.canonical("kidney_left"), Some("left kidney"));
/// assert_eq!(synonyms.canonical("Ren dexter"), Some("right kidney"));
/// assert_eq!(synonyms.canonical("carburetor"), None);
/// ```
#[derive(Clone, Debug)]
pub struct Synonyms {
    /// By normalized name.
    organs: HashMap<String, Organ>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Organ {
    name: String,
    /// The names of the left and the right organ of a pair.
    sides: Option<[String; 2]>,
}

/// A synonym file: canonical names with their synonyms.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    single: IndexMap<String, Vec<String>>,
    paired: IndexMap<String, Vec<String>>,
}

impl Synonyms {
    /// The built-in table.
    pub fn builtin() -> Self {
        let mut synonyms = Self { organs: HashMap::new() };
        let path = Path::new("synonyms.toml");
        let added = read_toml(path, BUILTIN, "synonyms").and_then(|table| synonyms.add(path, table));
        added.expect("a test reads the table");
        synonyms
    }

    /// The built-in table extended by a TOML file of the same form: tables `[single]` and `[paired]` whose entries are a
    /// name and its synonyms (`"kidney" = ["nyre", "Niere"]`). A known name extends that organ; a synonym of the file
    /// takes precedence over a built-in one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed, or [`Error::SynonymConflict`].
    pub fn with_file(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let mut synonyms = Self::builtin();
        synonyms.add(path, read_toml(path, &text, "synonyms")?)?;
        Ok(synonyms)
    }

    /// The canonical name of an organ; `None` for an unknown name.
    pub fn canonical(&self, name: &str) -> Option<&str> {
        let normalized = normalize(name);
        if let Some(organ) = self.find(&normalized) {
            return Some(&organ.name);
        }
        let name = ClassName::parse(&normalized);
        let [left, right] = self.find(&name.without_laterality())?.sides.as_ref()?;
        Some(match name.laterality()? {
            Laterality::Left => left,
            Laterality::Right => right,
        })
    }

    /// The canonical names of the left and right organ, if `name` is a paired organ without a side.
    pub(super) fn sides(&self, name: &str) -> Option<[&str; 2]> {
        self.find(&normalize(name))?.sides.as_ref().map(|sides| sides.each_ref().map(String::as_str))
    }

    /// All names of an organ in normal form, sorted; of one side of a pair, each with the side in front. Empty for an
    /// unknown organ.
    pub fn names(&self, name: &str) -> Vec<String> {
        let Some(canonical) = self.canonical(name) else { return Vec::new() };
        let own = self.organs.iter().filter(|(_, organ)| organ.name == canonical);
        let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        let parsed = ClassName::parse(canonical);
        if let Some(side) = parsed.laterality() {
            let pair = self.find(&normalize(&parsed.without_laterality()));
            let of_pair = self.organs.iter().filter(|(_, organ)| pair.is_some_and(|pair| *organ == pair));
            names.extend(of_pair.map(|(name, _)| format!("{} {name}", side.as_str())));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The indices of the classes that `name` stands for: the class of that name, else those of the same organ, else
    /// both sides of a paired organ named without a side.
    pub fn find_classes(&self, name: &str, classes: &[String]) -> Vec<usize> {
        let indices = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..classes.len()).filter(|index| matches(&classes[*index])).collect()
        };
        let query = normalize(name);
        let mut found = indices(&|class| normalize(class) == query);
        if found.is_empty() {
            let organ = self.canonical(name);
            found = indices(&|class| organ.is_some() && self.canonical(class) == organ);
        }
        if found.is_empty() {
            let sides = self.find(&query).and_then(|organ| organ.sides.as_ref());
            let is_side = |class: &str| {
                sides.is_some_and(|sides| sides.iter().any(|side| self.canonical(class) == Some(side)))
            };
            found = indices(&is_side);
        }
        found
    }

    /// An unknown plural is looked up as a singular.
    fn find(&self, normalized: &str) -> Option<&Organ> {
        self.organs.get(normalized).or_else(|| self.organs.get(normalized.strip_suffix('s')?))
    }

    fn add(&mut self, path: &Path, table: Table) -> Result<()> {
        let mut added: HashMap<String, Organ> = HashMap::new();
        let single = table.single.iter().map(|entry| (entry, false));
        let paired = table.paired.iter().map(|entry| (entry, true));
        for ((name, synonyms), is_paired) in single.chain(paired) {
            for number in numbers(name) {
                let name = numbered(name, number);
                let organ = self.lookup(&name).unwrap_or_else(|| Organ {
                    sides: is_paired.then(|| [format!("left {name}"), format!("right {name}")]),
                    name: name.clone(),
                });
                for synonym in synonyms.iter().map(|synonym| numbered(synonym, number)).chain([name]) {
                    let previous = added.insert(normalize(&synonym), organ.clone());
                    if let Some(other) = previous.filter(|other| *other != organ) {
                        let (path, first, second) = (path.to_owned(), other.name, organ.name);
                        return Err(Error::SynonymConflict { path, name: synonym, first, second });
                    }
                }
            }
        }
        self.organs.extend(added);
        Ok(())
    }

    fn lookup(&self, name: &str) -> Option<Organ> {
        if let Some(organ) = self.find(&normalize(name)) {
            return Some(organ.clone());
        }
        self.canonical(name).map(|name| Organ { name: name.to_owned(), sides: None })
    }
}

/// Lower-case words of letters and digits joined by single spaces, without the article.
fn normalize(name: &str) -> String {
    let mut words = normalized_words(name);
    words.retain(|word| word != "the");
    words.join(" ")
}

/// The range of a name with a placeholder such as `{1..12}`; a single number for other names.
pub(super) fn numbers(name: &str) -> RangeInclusive<u8> {
    let last = name.split_once("{1..").and_then(|(_, rest)| rest.split_once('}')?.0.parse().ok());
    1..=last.unwrap_or(1)
}

/// The name with the placeholder replaced by a number.
pub(super) fn numbered(name: &str, number: u8) -> String {
    match (name.split_once("{1.."), name.split_once('}')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{number}{after}"),
        _ => name.to_owned(),
    }
}
