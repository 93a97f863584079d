//! Parts and wholes: resolves a prompt to the classes of a data set whose union it denotes.

use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;

use super::{
    ClassName, Synonyms,
    description::{read_text, read_toml},
    synonyms::{numbered, numbers},
};
use crate::{Error, Result};

const BUILTIN: &str = include_str!("parts.toml");
/// Words before a name that do not change what it denotes.
const QUANTIFIERS: [&str; 8] =
    ["all", "both", "complete", "entire", "left and right", "right and left", "the", "whole"];
/// Separators of prompts that denote unions.
const CONJUNCTIONS: [&str; 5] = [" and ", " or ", "+", ",", "&"];
/// Nesting limit of wholes, which a user's file could make cyclic.
const MAX_DEPTH: usize = 8;

/// Parts and wholes of organs.
///
/// ```
/// use bipvl_text::{Parts, Synonyms};
///
/// let (parts, synonyms) = (Parts::builtin(), Synonyms::builtin());
/// let classes = ["kidney_left", "kidney_right", "LV", "RV", "liver"].map(str::to_owned);
/// let resolve = |prompt: &str| parts.resolve(prompt, &classes, &synonyms);
/// assert_eq!(resolve("kidneys").unwrap(), [0, 1]);
/// assert_eq!(resolve("both ventricles").unwrap(), [2, 3]);
/// assert_eq!(resolve("liver and left kidney").unwrap(), [0, 4]);
/// assert!(resolve("left liver").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Parts {
    wholes: Vec<Whole>,
    /// Those of a user's file, which come first.
    given: usize,
}

/// One decomposition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    name: String,
    #[serde(default)]
    synonyms: Vec<String>,
    parts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    whole: Vec<Whole>,
}

/// A union of classes with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Union {
    /// The names of the whole, such as `kidney`; the first is the usual one.
    pub names: Vec<String>,
    /// Sorted indices of its classes, two or more.
    pub classes: Vec<usize>,
}

impl Parts {
    /// The built-in table.
    pub fn builtin() -> Self {
        let table = read_toml::<Table>(Path::new("parts.toml"), BUILTIN, "parts");
        Self { wholes: table.expect("a test reads the table").whole, given: 0 }
    }

    /// The built-in table extended by a TOML file of the same form: `[[whole]]` tables with `name`, `synonyms` and
    /// `parts`. Decompositions of the file take precedence.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed.
    pub fn with_file(path: &Path) -> Result<Self> {
        let mut wholes = read_toml::<Table>(path, &read_text(path)?, "parts")?.whole;
        let given = wholes.len();
        wholes.extend(Self::builtin().wholes);
        Ok(Self { wholes, given })
    }

    /// The sorted indices of the classes whose union a prompt denotes: a class or a synonym of one, a pair (`kidneys`),
    /// a whole of the table (`both ventricles`), or several of these (`liver and spleen`).
    ///
    /// # Errors
    ///
    /// [`Error::IncompleteWhole`] if only some parts of the whole are classes, [`Error::PartOfClass`] if the prompt
    /// denotes a part of a class, which labels do not show, otherwise [`Error::UnknownPrompt`].
    pub fn resolve(&self, prompt: &str, classes: &[String], synonyms: &Synonyms) -> Result<Vec<usize>> {
        let query = Query { parts: self, classes, synonyms };
        let name = strip_quantifiers(prompt);
        let mut missing = BTreeSet::new();
        if let Some(found) = query.member(prompt, &mut missing) {
            return Ok(found.into_iter().collect());
        }
        let prompt = prompt.trim().to_owned();
        if let Some(class) = query.class_with_part(&name, 0) {
            return Err(Error::PartOfClass { prompt, class });
        }
        if missing.is_empty() || missing.iter().any(|part| is_same(part, &name)) {
            return Err(Error::UnknownPrompt { prompt });
        }
        Err(Error::IncompleteWhole { prompt, missing: missing.into_iter().collect() })
    }

    /// The wholes of the user's file that are no union of two or more of these classes, with the reason.
    pub fn unresolved(&self, classes: &[String], synonyms: &Synonyms) -> Vec<(&str, String)> {
        let reason = |whole: &Whole| {
            if classes.iter().any(|class| is_same(class, &whole.name)) {
                return Some("a class has this name".to_owned());
            }
            match self.resolve(&whole.name, classes, synonyms) {
                Ok(found) if found.len() < 2 => Some("its parts are fewer than two classes".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            }
        };
        let given = self.wholes[..self.given].iter();
        given.filter_map(|whole| Some((&*whole.name, reason(whole)?))).collect()
    }

    /// All named unions of two or more classes, for training with prompts of wholes. Each once, with all its names: those
    /// of the user's file first, then those of the classes, then those of the built-in table.
    pub fn unions(&self, classes: &[String], synonyms: &Synonyms) -> Vec<Union> {
        let names = classes.iter().filter_map(|class| {
            let name = ClassName::parse(class);
            name.laterality().map(|_| name.without_laterality())
        });
        let of_whole = |whole: &Whole| [std::slice::from_ref(&whole.name), &whole.synonyms].concat();
        let (given, builtin) = self.wholes.split_at(self.given);
        let names = given.iter().flat_map(of_whole).chain(names).chain(builtin.iter().flat_map(of_whole));
        let mut unions: Vec<Union> = Vec::new();
        for name in names {
            let Ok(found) = self.resolve(&name, classes, synonyms) else { continue };
            match unions.iter_mut().find(|union| union.classes == found) {
                Some(union) if !union.names.iter().any(|known| is_same(known, &name)) => {
                    union.names.push(name);
                }
                None if found.len() > 1 => unions.push(Union { names: vec![name], classes: found }),
                _ => {}
            }
        }
        unions
    }
}

/// What a prompt is resolved against.
struct Query<'a> {
    parts: &'a Parts,
    classes: &'a [String],
    synonyms: &'a Synonyms,
}

impl Query<'_> {
    /// The classes of a name: a class, a pair, or a whole. Adds the parts that are no classes to `missing`.
    fn find(&self, name: &str, depth: usize, missing: &mut BTreeSet<String>) -> Option<BTreeSet<usize>> {
        if let Some(class) = self.class(name) {
            return Some([class].into());
        }
        if depth == MAX_DEPTH {
            return None;
        }
        if let Some(sides) = self.synonyms.sides(name) {
            let found = self.all(&sides.map(str::to_owned), depth, missing);
            if found.is_some() {
                return found;
            }
        }
        let whole = self.wholes(name).find_map(|whole| self.all(&whole.expanded_parts(), depth, missing));
        whole.or_else(|| self.pair(name, depth, missing))
    }

    /// Both sides of a structure that no table knows.
    fn pair(&self, name: &str, depth: usize, missing: &mut BTreeSet<String>) -> Option<BTreeSet<usize>> {
        if ClassName::parse(name).laterality().is_some() || self.synonyms.sides(name).is_some() {
            return None;
        }
        self.all(&["left", "right"].map(|side| format!("{side} {name}")), depth, missing)
    }

    /// The class of a name or of a synonym.
    fn class(&self, name: &str) -> Option<usize> {
        let organ = self.synonyms.canonical(name);
        let exact = self.classes.iter().position(|class| ClassName::collides(class, name));
        exact.or_else(|| {
            self.classes.iter().position(|class| {
                is_same(class, name) || organ.is_some() && self.synonyms.canonical(class) == organ
            })
        })
    }

    /// The union of all parts. A part is missing only if others are there: else the whole has nothing to do with the
    /// data set.
    fn all(&self, parts: &[String], depth: usize, missing: &mut BTreeSet<String>) -> Option<BTreeSet<usize>> {
        let mut below = BTreeSet::new();
        let found: Vec<_> = parts.iter().map(|part| self.find(part, depth + 1, &mut below)).collect();
        if found.iter().all(Option::is_some) {
            return Some(found.into_iter().flatten().flatten().collect());
        }
        if found.iter().any(Option::is_some) {
            let absent = parts.iter().zip(&found).filter(|(_, found)| found.is_none());
            missing.extend(absent.map(|(part, _)| part.clone()));
        }
        missing.extend(below);
        None
    }

    /// The classes of a name with or without quantifiers, or of a list of names. `whole tumor` is a name of its own, so
    /// the full name comes first.
    fn member(&self, name: &str, missing: &mut BTreeSet<String>) -> Option<BTreeSet<usize>> {
        let found = self.find(trim(name), 0, missing);
        let found = found.or_else(|| self.find(&strip_quantifiers(name), 0, missing));
        found.or_else(|| self.union(name, missing))
    }

    /// The union of the members of a list: `liver and spleen`.
    fn union(&self, name: &str, missing: &mut BTreeSet<String>) -> Option<BTreeSet<usize>> {
        let (one, other) = CONJUNCTIONS.iter().find_map(|conjunction| name.split_once(conjunction))?;
        let mut member = |name: &str| {
            let found = self.member(name, missing);
            if found.is_none() {
                missing.insert(name.trim().to_owned());
            }
            found
        };
        let (one, other) = (member(one), member(other));
        Some(&one? | &other?)
    }

    /// A class that contains what `name` denotes: a pair without sides, or a whole.
    fn class_with_part(&self, name: &str, depth: usize) -> Option<String> {
        if depth == MAX_DEPTH {
            return None;
        }
        let parsed = ClassName::parse(name);
        let pair = parsed.laterality().map(|_| parsed.without_laterality());
        let is_pair = |pair: &String| self.synonyms.sides(pair).is_some();
        let wholes = self
            .parts
            .wholes
            .iter()
            .filter(|whole| whole.expanded_parts().iter().any(|part| self.denotes(part, name)));
        let mut wholes = wholes.map(|whole| whole.name.clone()).chain(pair.filter(is_pair));
        wholes.find_map(|whole| match self.class(&whole) {
            Some(class) => Some(self.classes[class].clone()),
            None => self.class_with_part(&whole, depth + 1),
        })
    }

    fn wholes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Whole> {
        self.parts.wholes.iter().filter(move |whole| {
            self.denotes(&whole.name, name)
                || self.parts.wholes.iter().any(|other| {
                    other.name == whole.name && other.synonyms.iter().any(|synonym| is_same(synonym, name))
                })
        })
    }

    /// Whether both names denote the same organ.
    fn denotes(&self, one: &str, other: &str) -> bool {
        let organ = self.synonyms.canonical(one);
        is_same(one, other) || organ.is_some() && organ == self.synonyms.canonical(other)
    }
}

impl Whole {
    fn expanded_parts(&self) -> Vec<String> {
        self.parts.iter().flat_map(|part| numbers(part).map(|number| numbered(part, number))).collect()
    }
}

/// Whether two names differ only in spelling, word order and plurals.
fn is_same(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(ClassName::parse);
    one.laterality() == other.laterality()
        && one.normalized_without_laterality() == other.normalized_without_laterality()
        && !one.normalized().is_empty()
}

fn trim(prompt: &str) -> &str {
    prompt.trim().trim_end_matches(['.', '?', '!']).trim_end()
}

fn strip_quantifiers(prompt: &str) -> String {
    let mut name = trim(prompt).to_lowercase();
    while let Some(rest) = QUANTIFIERS.iter().find_map(|word| name.strip_prefix(word)?.strip_prefix(' ')) {
        name = rest.trim_start().to_owned();
    }
    name
}
