//! One organ, many names: common, Latin, short, and those that data sets give their classes.

use std::{collections::HashMap, fs, ops::RangeInclusive, path::Path};

use indexmap::IndexMap;
use serde::Deserialize;

use super::{
    class_name::{ClassName, Side},
    description::read_toml,
};
use crate::{Error, Result};

const BUILT_IN: &str = include_str!("synonyms.toml");

/// Which names mean the same organ.
///
/// ```
/// use bipvl::text::Synonyms;
///
/// let synonyms = Synonyms::built_in();
/// assert_eq!(synonyms.canonical("postcava"), Some("inferior vena cava"));
/// assert_eq!(synonyms.canonical("kidney_left"), Some("left kidney"));
/// assert_eq!(synonyms.canonical("Ren dexter"), Some("right kidney"));
/// assert_eq!(synonyms.canonical("carburetor"), None);
/// ```
#[derive(Clone, Debug)]
pub struct Synonyms {
    /// By its names in plain form.
    organs: HashMap<String, Organ>,
}

/// What one name means.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Organ {
    name: String,
    /// The names of the left and of the right one, where there are two.
    sides: Option<[String; 2]>,
}

/// The file: a name, then other names for the same.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    single: IndexMap<String, Vec<String>>,
    paired: IndexMap<String, Vec<String>>,
}

impl Synonyms {
    /// The names that come with the program.
    pub fn built_in() -> Self {
        let mut synonyms = Self { organs: HashMap::new() };
        let path = Path::new("synonyms.toml");
        let read = read_toml(path, BUILT_IN, "a table of names").and_then(|table| synonyms.add(path, table));
        read.expect("a test reads the table");
        synonyms
    }

    /// The built-in names and, over them, those of a TOML file in the same form: tables `[single]` and
    /// `[paired]`, each entry a name and a list of others (`"kidney" = ["nyre", "Niere"]`). An entry whose name
    /// is known already adds to that organ.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, has another form, or gives one name to two organs.
    pub fn with_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        let mut synonyms = Self::built_in();
        synonyms.add(path, read_toml(path, &text, "a table of names")?)?;
        Ok(synonyms)
    }

    /// The one name that stands for all names of an organ; `None` when no table knows it.
    pub fn canonical(&self, name: &str) -> Option<&str> {
        let plain = plain(name);
        if let Some(organ) = self.find(&plain) {
            return Some(&organ.name);
        }
        let name = ClassName::parse(&plain);
        let [left, right] = self.find(&name.without_side())?.sides.as_ref()?;
        Some(match name.side()? {
            Side::Left => left,
            Side::Right => right,
        })
    }

    /// The places among `classes` of those that `name` means: the class of that name; else those of the same
    /// organ; else both sides of an organ whose side is not said.
    pub fn find_classes(&self, name: &str, classes: &[String]) -> Vec<usize> {
        let places = |is_meant: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..classes.len()).filter(|place| is_meant(&classes[*place])).collect()
        };
        let wanted = plain(name);
        let mut found = places(&|class| plain(class) == wanted);
        if found.is_empty() {
            let organ = self.canonical(name);
            found = places(&|class| organ.is_some() && self.canonical(class) == organ);
        }
        if found.is_empty() {
            let sides = self.find(&wanted).and_then(|organ| organ.sides.as_ref());
            let is_side = |class: &str| {
                sides.is_some_and(|sides| sides.iter().any(|side| self.canonical(class) == Some(side)))
            };
            found = places(&is_side);
        }
        found
    }

    /// A plural that no table has is looked for without its last letter.
    fn find(&self, plain: &str) -> Option<&Organ> {
        self.organs.get(plain).or_else(|| self.organs.get(plain.strip_suffix('s')?))
    }

    fn add(&mut self, path: &Path, table: Table) -> Result<()> {
        let mut added: HashMap<String, Organ> = HashMap::new();
        let single = table.single.iter().map(|entry| (entry, false));
        let paired = table.paired.iter().map(|entry| (entry, true));
        for ((name, others), is_paired) in single.chain(paired) {
            for number in numbers(name) {
                let name = numbered(name, number);
                let organ = self.known(&name).unwrap_or_else(|| Organ {
                    sides: is_paired.then(|| [format!("left {name}"), format!("right {name}")]),
                    name: name.clone(),
                });
                for alias in others.iter().map(|other| numbered(other, number)).chain([name]) {
                    let taken = added.insert(plain(&alias), organ.clone());
                    if let Some(other) = taken.filter(|other| *other != organ) {
                        let found = format!("it means \"{}\" and \"{}\"", other.name, organ.name);
                        return Err(Error::content(path, format!("one organ for \"{alias}\""), found));
                    }
                }
            }
        }
        self.organs.extend(added);
        Ok(())
    }

    fn known(&self, name: &str) -> Option<Organ> {
        if let Some(organ) = self.find(&plain(name)) {
            return Some(organ.clone());
        }
        self.canonical(name).map(|name| Organ { name: name.to_owned(), sides: None })
    }
}

/// Lower-case words of letters and digits with one space between them, without the article.
fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty() && *word != "the").collect::<Vec<_>>().join(" ")
}

/// The numbers of a name with `{1..12}` in it; one number that stands nowhere for any other name.
fn numbers(name: &str) -> RangeInclusive<u8> {
    let last = name.split_once("{1..").and_then(|(_, rest)| rest.split_once('}')?.0.parse().ok());
    1..=last.unwrap_or(1)
}

/// The name with the number in the place of `{1..12}`.
fn numbered(name: &str, number: u8) -> String {
    match (name.split_once("{1.."), name.split_once('}')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{number}{after}"),
        _ => name.to_owned(),
    }
}
