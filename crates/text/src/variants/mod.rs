//! Other texts for the classes of a trained network, to measure how much it depends on its text.
//!
//! A [`Variant`] is one text per class, made from the trained descriptions by a written rule and a seed. What a
//! rule leaves as it was is no variant: [`Variants::skipped`] says so.

mod letters;
mod words;

use std::{fmt, path::Path, str::FromStr};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use letters::{mistype, nonsense};
pub use words::{reword, swap_sides};

use super::{Description, Descriptions, Rewrite, Synonyms, description::read_toml, rewrite::derangement};

/// Organs that a data set may not have, and their texts.
const ABSENT: &str = include_str!("absent.toml");
/// Wrong letters in each sentence, once rarely and once often.
const TYPOS: [usize; 2] = [1, 3];

/// What is done to the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing.
    AsTrained,
    /// Each class is its name.
    Names,
    /// The same in other words or in another order.
    Paraphrase,
    /// Some letters are wrong.
    Typos,
    /// Left and right are exchanged.
    Sides,
    /// One concept is left out.
    Dropped,
    /// Every class has the sentences of others: once only these, under its own title, once their whole texts.
    Shuffled,
    /// One class has the text of an organ that the data set does not have.
    Absent,
    /// The words mean nothing.
    Nonsense,
    /// There are no words.
    Empty,
}

/// All kinds, by the names that a user gives them.
pub const KINDS: [(&str, Kind); 10] = [
    ("as-trained", Kind::AsTrained),
    ("names", Kind::Names),
    ("paraphrase", Kind::Paraphrase),
    ("typos", Kind::Typos),
    ("sides", Kind::Sides),
    ("dropped", Kind::Dropped),
    ("shuffled", Kind::Shuffled),
    ("absent", Kind::Absent),
    ("nonsense", Kind::Nonsense),
    ("empty", Kind::Empty),
];

/// One text for every class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// What was done, in words; no other variant has this name.
    pub name: String,
    /// What was done.
    pub kind: Kind,
    /// The place of the class whose text alone was replaced; `None` when all may differ.
    pub class: Option<usize>,
    /// The whole text of each class.
    pub texts: Vec<String>,
}

/// What could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants {
    /// The text as trained, then all others.
    pub made: Vec<Variant>,
    /// Name and reason of each that would change nothing or cannot be made.
    pub skipped: Vec<(String, String)>,
}

/// What variants are made of besides the descriptions.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// What every random choice follows from.
    pub seed: u64,
    /// The kinds that are wanted, besides the text as trained.
    pub kinds: &'a [Kind],
    /// Descriptions by the user, each under a name.
    pub paraphrases: &'a [(String, Descriptions)],
    /// Which names mean the same organ.
    pub synonyms: &'a Synonyms,
}

impl Variants {
    /// All variants of the wanted kinds. A seed gives the same text whatever other kinds are wanted.
    pub fn of(trained: &Descriptions, options: &Options) -> Self {
        let texts = trained.classes.iter().map(Description::prompt).collect();
        let as_trained = Variant { name: "as trained".to_owned(), kind: Kind::AsTrained, class: None, texts };
        let mut making = Making { trained, options, made: vec![as_trained], skipped: Vec::new() };
        for (_, kind) in KINDS {
            if options.kinds.contains(&kind) {
                making.make(kind);
            }
        }
        Self { made: making.made, skipped: making.skipped }
    }
}

/// Variants on the way.
struct Making<'a> {
    trained: &'a Descriptions,
    options: &'a Options<'a>,
    made: Vec<Variant>,
    skipped: Vec<(String, String)>,
}

impl Making<'_> {
    fn make(&mut self, kind: Kind) {
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        random.set_stream(kind as u64);
        let trained = self.trained;
        let classes = &trained.classes;
        match kind {
            Kind::AsTrained => {}
            Kind::Names => {
                let names = classes.iter().map(|class| format!("{}.", class.class)).collect();
                self.add("class names only", kind, names);
            }
            Kind::Paraphrase => self.paraphrase(),
            Kind::Typos => {
                for count in TYPOS {
                    let mut typed = |class: &Description| {
                        with_sentences(class, |sentence| mistype(sentence, count, &mut random)).prompt()
                    };
                    let texts = classes.iter().map(&mut typed).collect();
                    self.add(&format!("typos, {count} per sentence"), kind, texts);
                }
            }
            Kind::Sides => {
                let swapped = classes.iter().map(|class| with_sentences(class, swap_sides).prompt());
                self.add("left and right swapped", kind, swapped.collect());
            }
            Kind::Dropped => self.drop_concepts(),
            Kind::Shuffled => {
                // What stays in its place tells of which class the sentences are; a whole text takes that along.
                let under_titles = Rewrite::Shuffled.apply(trained, self.options.seed);
                let under_titles = under_titles.as_ref().unwrap_or(trained);
                let texts = under_titles.classes.iter().map(Description::prompt).collect();
                self.add("sentences shuffled under the titles", kind, texts);
                let order = derangement(classes.len(), &mut random).into_iter();
                let texts = order.map(|place| self.made[0].texts[place].clone()).collect();
                self.add("whole texts exchanged between classes", kind, texts);
            }
            Kind::Absent => self.absent(),
            Kind::Nonsense => {
                let texts = self.made[0].texts.iter().map(|text| nonsense(text, &mut random)).collect();
                self.add("nonsense words", kind, texts);
            }
            Kind::Empty => self.add("empty text", kind, vec![String::new(); classes.len()]),
        }
    }

    fn paraphrase(&mut self) {
        let (trained, kind) = (self.trained, Kind::Paraphrase);
        let reversed = trained.classes.iter().map(|class| {
            let concepts = class.concepts.iter().rev().cloned().collect();
            Description { concepts, ..class.clone() }.prompt()
        });
        self.add("concepts in reverse order", kind, reversed.collect());
        let reworded = trained.classes.iter().map(|class| with_sentences(class, reword).prompt());
        self.add("other words", kind, reworded.collect());
        for (name, descriptions) in self.options.paraphrases {
            let texts = descriptions.classes.iter().map(Description::prompt).collect();
            self.add(&format!("paraphrase {name}"), kind, texts);
        }
    }

    fn drop_concepts(&mut self) {
        let trained = self.trained;
        let mut names: Vec<&str> = Vec::new();
        for concept in trained.classes.iter().flat_map(|class| &class.concepts) {
            if !names.contains(&concept.name.as_str()) {
                names.push(&concept.name);
            }
        }
        for dropped in names {
            let without = trained.classes.iter().map(|class| {
                let mut class = class.clone();
                class.concepts.retain(|concept| concept.name != dropped);
                class.prompt()
            });
            self.add(&format!("without {dropped}"), Kind::Dropped, without.collect());
        }
    }

    fn absent(&mut self) {
        let trained = self.trained;
        let classes: Vec<String> = trained.classes.iter().map(|class| class.class.clone()).collect();
        let organs: Descriptions = read_toml(Path::new("absent.toml"), ABSENT, "descriptions of organs")
            .expect("a test reads the descriptions");
        let is_absent =
            |organ: &Description| self.options.synonyms.find_classes(&organ.class, &classes).is_empty();
        let Some(organ) = organs.classes.into_iter().find(is_absent) else {
            let reason = "the data set has every organ that the program could describe";
            self.skipped.push(("absent organ".to_owned(), reason.to_owned()));
            return;
        };
        for (place, class) in trained.classes.iter().enumerate() {
            let mut texts = self.made[0].texts.clone();
            let title = format!("{}{}", organ.title, modality(&class.title));
            texts[place] = Description { title, ..organ.clone() }.prompt();
            let name = format!("{} in place of {}", organ.class, class.class);
            self.made.push(Variant { name, kind: Kind::Absent, class: Some(place), texts });
        }
    }

    /// Keeps a variant in which any class has another text than as trained.
    fn add(&mut self, name: &str, kind: Kind, texts: Vec<String>) {
        if texts == self.made[0].texts {
            let reason = "it leaves every text as it was trained";
            self.skipped.push((name.to_owned(), reason.to_owned()));
            return;
        }
        self.made.push(Variant { name: name.to_owned(), kind, class: None, texts });
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = KINDS.iter().find(|(_, kind)| kind == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = KINDS.iter().find(|(name, _)| *name == text);
        named.map(|(_, kind)| *kind).ok_or_else(|| {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            format!("expected one of {}, found \"{text}\"", names.join(", "))
        })
    }
}

/// Title and sentences changed, the names of class and concepts as they were.
fn with_sentences(class: &Description, mut change: impl FnMut(&str) -> String) -> Description {
    let mut changed = class.clone();
    changed.title = change(&class.title);
    for concept in &mut changed.concepts {
        concept.sentence = change(&concept.sentence);
    }
    changed
}

/// The end of a title that says what the image is: " in a CT image".
fn modality(title: &str) -> &str {
    let start = [" in a ", " in an "].into_iter().filter_map(|words| title.find(words)).min();
    start.map_or("", |start| &title[start..])
}
