//! Perturbed texts for the classes of a trained network, to measure its sensitivity to the prompt.
//!
//! A [`PerturbedText`] holds one prompt per class, made from the trained descriptions by a fixed rule and a seed. Rules
//! that leave every prompt unchanged are listed in [`PerturbationSet::skipped`].

mod typos;
mod words;

use std::{fmt, path::Path, str::FromStr};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use typos::{add_typos, pseudowords};
pub(crate) use words::side_word;
pub use words::{paraphrase, swap_laterality};

use super::{
    Description, Descriptions, Synonyms, TextAblation, ablation::derangement, description::read_toml,
};

/// Descriptions of organs for [`Perturbation::AbsentOrgan`].
const ABSENT_ORGANS: &str = include_str!("absent_organs.toml");
/// Typos per sentence: light and heavy noise.
const TYPOS_PER_SENTENCE: [usize; 2] = [1, 3];

/// A kind of text perturbation. The declaration order selects the random stream: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturbation {
    /// The trained text, unchanged.
    Original,
    /// The class name instead of the description.
    ClassNames,
    /// Reordered concepts, substituted words, or a user's own wording.
    Paraphrase,
    /// Some letters replaced by neighbors on the keyboard.
    Typos,
    /// Left and right exchanged.
    LateralitySwap,
    /// One concept removed from every class.
    ConceptDropout,
    /// Sentences permuted among the classes below unchanged titles; then whole prompts permuted.
    Shuffle,
    /// One class described as an organ that the data set does not have.
    AbsentOrgan,
    /// Every word replaced by random letters.
    Pseudowords,
    /// The empty string.
    Empty,
}

/// One prompt for every class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerturbedText {
    /// Human-readable name, unique within a [`PerturbationSet`].
    pub name: String,
    /// The kind of perturbation.
    pub kind: Perturbation,
    /// Index of the only class whose prompt changed; `None` if any may have.
    pub class: Option<usize>,
    /// The prompt of each class.
    pub texts: Vec<String>,
}

/// All perturbed texts of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerturbationSet {
    /// The original text, then the perturbed ones.
    pub texts: Vec<PerturbedText>,
    /// Name and reason of each perturbation that has no effect or does not apply.
    pub skipped: Vec<(String, String)>,
}

/// Inputs of the perturbations besides the trained descriptions.
#[derive(Clone, Debug)]
pub struct PerturbationContext<'a> {
    /// Random seed.
    pub seed: u64,
    /// Perturbations to apply; the original text is always included.
    pub kinds: &'a [Perturbation],
    /// Paraphrased descriptions of the user, each with a name.
    pub paraphrases: &'a [(String, Descriptions)],
    /// Decides which organs the data set has.
    pub synonyms: &'a Synonyms,
}

impl Perturbation {
    /// All perturbations.
    pub const ALL: [Self; 10] = [
        Self::Original,
        Self::ClassNames,
        Self::Paraphrase,
        Self::Typos,
        Self::LateralitySwap,
        Self::ConceptDropout,
        Self::Shuffle,
        Self::AbsentOrgan,
        Self::Pseudowords,
        Self::Empty,
    ];

    /// The name in configurations, flags and JSON: `laterality-swap`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::ClassNames => "class-names",
            Self::Paraphrase => "paraphrase",
            Self::Typos => "typos",
            Self::LateralitySwap => "laterality-swap",
            Self::ConceptDropout => "concept-dropout",
            Self::Shuffle => "shuffle",
            Self::AbsentOrgan => "absent-organ",
            Self::Pseudowords => "pseudowords",
            Self::Empty => "empty",
        }
    }
}

impl PerturbationSet {
    /// Applies the perturbations of `context.kinds`. Each kind has its own random stream, so its texts do not depend on
    /// the other kinds.
    pub fn new(trained: &Descriptions, context: &PerturbationContext) -> Self {
        let texts = trained.classes.iter().map(Description::prompt).collect();
        let original =
            PerturbedText { name: "as trained".to_owned(), kind: Perturbation::Original, class: None, texts };
        let mut builder = Builder { trained, context, texts: vec![original], skipped: Vec::new() };
        for kind in Perturbation::ALL {
            if context.kinds.contains(&kind) {
                builder.apply(kind);
            }
        }
        Self { texts: builder.texts, skipped: builder.skipped }
    }
}

/// A [`PerturbationSet`] under construction.
struct Builder<'a> {
    trained: &'a Descriptions,
    context: &'a PerturbationContext<'a>,
    texts: Vec<PerturbedText>,
    skipped: Vec<(String, String)>,
}

impl Builder<'_> {
    fn apply(&mut self, kind: Perturbation) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.context.seed);
        rng.set_stream(kind as u64);
        let classes = &self.trained.classes;
        match kind {
            Perturbation::Original => {}
            Perturbation::ClassNames => {
                let names = classes.iter().map(|class| format!("{}.", class.class)).collect();
                self.add("class names only", kind, names);
            }
            Perturbation::Paraphrase => self.paraphrase(),
            Perturbation::Typos => {
                for count in TYPOS_PER_SENTENCE {
                    let mut typed = |class: &Description| {
                        map_sentences(class, |sentence| add_typos(sentence, count, &mut rng)).prompt()
                    };
                    let texts = classes.iter().map(&mut typed).collect();
                    self.add(&format!("typos, {count} per sentence"), kind, texts);
                }
            }
            Perturbation::LateralitySwap => {
                let swapped = classes.iter().map(|class| map_sentences(class, swap_laterality).prompt());
                self.add("left and right swapped", kind, swapped.collect());
            }
            Perturbation::ConceptDropout => self.drop_concepts(),
            Perturbation::Shuffle => self.shuffle(&mut rng),
            Perturbation::AbsentOrgan => self.absent_organ(),
            Perturbation::Pseudowords => {
                let texts = self.texts[0].texts.iter().map(|text| pseudowords(text, &mut rng)).collect();
                self.add("nonsense words", kind, texts);
            }
            Perturbation::Empty => self.add("empty text", kind, vec![String::new(); classes.len()]),
        }
    }

    fn paraphrase(&mut self) {
        let (trained, kind) = (self.trained, Perturbation::Paraphrase);
        let reversed = trained.classes.iter().map(|class| {
            let concepts = class.concepts.iter().rev().cloned().collect();
            Description { concepts, ..class.clone() }.prompt()
        });
        self.add("concepts in reverse order", kind, reversed.collect());
        let reworded = trained.classes.iter().map(|class| map_sentences(class, paraphrase).prompt());
        self.add("other words", kind, reworded.collect());
        for (name, descriptions) in self.context.paraphrases {
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
            self.add(&format!("without {dropped}"), Perturbation::ConceptDropout, without.collect());
        }
    }

    /// An unchanged title still identifies the class of a slot; permuting whole prompts moves the titles too.
    fn shuffle(&mut self, rng: &mut ChaCha8Rng) {
        let trained = self.trained;
        let below_titles = TextAblation::Shuffled.apply(trained, self.context.seed);
        let below_titles = below_titles.as_ref().unwrap_or(trained);
        let texts = below_titles.classes.iter().map(Description::prompt).collect();
        self.add("sentences shuffled under the titles", Perturbation::Shuffle, texts);
        let order = derangement(trained.classes.len(), rng).into_iter();
        let texts = order.map(|source| self.texts[0].texts[source].clone()).collect();
        self.add("whole texts exchanged between classes", Perturbation::Shuffle, texts);
    }

    fn absent_organ(&mut self) {
        let trained = self.trained;
        let classes: Vec<String> = trained.classes.iter().map(|class| class.class.clone()).collect();
        let organs: Descriptions =
            read_toml(Path::new("absent_organs.toml"), ABSENT_ORGANS, "descriptions of organs")
                .expect("a test reads the descriptions");
        let is_absent =
            |organ: &Description| self.context.synonyms.find_classes(&organ.class, &classes).is_empty();
        let Some(organ) = organs.classes.into_iter().find(is_absent) else {
            let reason = "the data set has every organ of the built-in list";
            self.skipped.push(("absent organ".to_owned(), reason.to_owned()));
            return;
        };
        for (index, class) in trained.classes.iter().enumerate() {
            let mut texts = self.texts[0].texts.clone();
            let title = format!("{}{}", organ.title, modality_suffix(&class.title));
            texts[index] = Description { title, ..organ.clone() }.prompt();
            let name = format!("{} in place of {}", organ.class, class.class);
            self.texts.push(PerturbedText {
                name,
                kind: Perturbation::AbsentOrgan,
                class: Some(index),
                texts,
            });
        }
    }

    /// Adds a text unless it equals the original in every class.
    fn add(&mut self, name: &str, kind: Perturbation, texts: Vec<String>) {
        if texts == self.texts[0].texts {
            let reason = "no text of any class changes";
            self.skipped.push((name.to_owned(), reason.to_owned()));
            return;
        }
        self.texts.push(PerturbedText { name: name.to_owned(), kind, class: None, texts });
    }
}

impl fmt::Display for Perturbation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Perturbation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!("unknown perturbation `{text}`, available: {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// The description with title and sentences mapped by `f`; names of class and concepts are kept.
fn map_sentences(class: &Description, mut f: impl FnMut(&str) -> String) -> Description {
    let mut mapped = class.clone();
    mapped.title = f(&class.title);
    for concept in &mut mapped.concepts {
        concept.sentence = f(&concept.sentence);
    }
    mapped
}

/// The end of a title that names the image: " in a CT image".
fn modality_suffix(title: &str) -> &str {
    let start = [" in a ", " in an "].into_iter().filter_map(|words| title.find(words)).min();
    start.map_or("", |start| &title[start..])
}
