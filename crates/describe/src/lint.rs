//! Finds what is wrong with descriptions: gaps, repetitions, contradictions, too much text.

use std::fmt::{self, Display, Formatter};

use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description, Descriptions, Laterality, Tokenizer, normalized_words};

/// The positions of BERT; what is longer is cut off.
const MAX_TOKENS: usize = 512;
/// Without a vocabulary: a word has one piece for every five letters begun, any other sign is one piece. For
/// English about organs that is a sixth more than the uncased vocabulary of BERT gives.
const LETTERS_PER_PIECE: usize = 5;
const MIN_WORDS: usize = 4;
/// Shorter sentences may differ by one word; of longer ones that is next to nothing.
const MIN_WORDS_TO_COMPARE: usize = 8;
/// Said of a computed tomography, these belong to magnetic resonance.
const MR_WORDS: [&str; 9] =
    ["signal", "t1", "t2", "flair", "weighted", "hyperintense", "hypointense", "isointense", "t1w"];
/// The reverse.
const CT_WORDS: [&str; 8] = [
    "hu",
    "hounsfield",
    "attenuation",
    "hyperdense",
    "hypodense",
    "isodense",
    "hypoattenuating",
    "hyperattenuating",
];
/// A side is a place when one of these follows it, or nothing.
const PLACES: [&str; 8] = ["side", "half", "flank", "hemithorax", "part", "quadrant", "upper", "lower"];
/// Or one of these, where "the" stands before it: "right behind" is another word for "just behind".
const PREPOSITIONS: [&str; 6] = ["in", "under", "behind", "above", "below", "beside"];
/// A side "of" one of these is a place; of anything else it is a relation to that.
const BODY: [&str; 13] = [
    "midline", "spine", "body", "patient", "chest", "abdomen", "pelvis", "head", "neck", "trunk", "scan",
    "image", "region",
];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The text is wrong or useless.
    Error,
    /// The text may be meant so.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The class.
    pub class: String,
    /// The concept, `title`, or nothing when it is about all of the class.
    pub concept: Option<String>,
    /// What was found.
    pub message: String,
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let concept = self.concept.as_ref().map(|concept| format!(", {concept}")).unwrap_or_default();
        write!(formatter, "{severity}: {}{concept}: {}", self.class, self.message)
    }
}

/// Looks through the descriptions of all classes, and finds, class by class:
///
/// - errors: concepts that other classes have, empty or very short texts, classes that stand twice, sentences
///   that another class has too, twins that nothing but the title tells apart, a side that contradicts the
///   name, words of the other modality, more tokens than a text encoder has positions;
/// - warnings: sentences that differ from those of another class by one word.
///
/// Left and right twins may share sentences. The modality is that of the data set, else each title's own. Tokens
/// are counted by `tokenizer`, else estimated, and the finding says which.
pub fn lint(
    descriptions: &Descriptions,
    modality: Option<Modality>,
    tokenizer: Option<&Tokenizer>,
) -> Vec<Finding> {
    let mut concepts: Vec<&str> = Vec::new();
    for concept in descriptions.classes.iter().flat_map(|class| &class.concepts) {
        if !concepts.contains(&concept.name.as_str()) {
            concepts.push(&concept.name);
        }
    }
    let mut findings = Vec::new();
    for (index, class) in descriptions.classes.iter().enumerate() {
        for missing in concepts.iter().filter(|name| class.concepts.iter().all(|c| c.name != **name)) {
            findings.push(error(class, Some(missing), "missing, though other classes have it"));
        }
        findings.extend(lint_class(class, modality));
        findings.extend(too_long(class, tokenizer));
        for other in &descriptions.classes[..index] {
            findings.extend(repetitions(class, other));
        }
    }
    findings
}

/// What can be said of one class alone: its texts, its side, its modality.
pub fn lint_class(class: &Description, modality: Option<Modality>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if class.concepts.is_empty() {
        findings.push(error(class, None, "no concept"));
    }
    for (text, place) in [(&class.class, "name"), (&class.title, "title")] {
        if text.trim().is_empty() {
            findings.push(error(class, Some(place), "empty"));
        }
    }
    for Concept { name, sentence } in &class.concepts {
        let count = normalized_words(sentence).len();
        if count == 0 {
            findings.push(error(class, Some(name), "empty"));
        } else if count < MIN_WORDS {
            let message = format!("{count} words, expected at least {MIN_WORDS}");
            findings.push(error(class, Some(name), &message));
        }
    }
    findings.extend(wrong_side(class));
    findings.extend(wrong_modality(class, modality));
    findings
}

fn error(class: &Description, concept: Option<&str>, message: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        class: class.class.clone(),
        concept: concept.map(str::to_owned),
        message: message.to_owned(),
    }
}

fn wrong_side(class: &Description) -> Vec<Finding> {
    let name = ClassName::parse(&class.class);
    let Some(side) = name.laterality() else { return Vec::new() };
    let (own, other) = (side.as_str(), side.opposite().as_str());
    let mut findings = Vec::new();
    let title = normalized_words(&class.title);
    let has = |word: &str| title.iter().any(|one| one == word);
    if has(other) && !has(own) {
        findings.push(error(class, Some("title"), &format!("says {other}, the name says {own}")));
    }
    for Concept { name: concept, sentence } in &class.concepts {
        if name.body_side().is_some() && places(sentence).contains(&side.opposite()) {
            let message = format!("puts it on the {other} side, the name says {own}: \"{sentence}\"");
            findings.push(error(class, Some(concept), &message));
        }
    }
    findings
}

/// The sides that a sentence names as places, not as parts of other names ("above the left kidney").
fn places(sentence: &str) -> Vec<Laterality> {
    // A sign of its own ends whatever was begun.
    let text = sentence.to_lowercase().replace([',', ';', ':', '.', '(', ')'], " . ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_place = |index: usize| match words.get(index + 1) {
        None | Some(&".") => true,
        Some(&"of") => words[index + 2..]
            .iter()
            .find(|word| !["the", "its"].contains(word))
            .is_some_and(|word| BODY.contains(word)),
        Some(next) if PREPOSITIONS.contains(next) => index > 0 && words[index - 1] == "the",
        Some(next) => PLACES.contains(next),
    };
    [Laterality::Left, Laterality::Right]
        .into_iter()
        .filter(|side| (0..words.len()).any(|index| words[index] == side.as_str() && is_place(index)))
        .collect()
}

fn wrong_modality(class: &Description, modality: Option<Modality>) -> Vec<Finding> {
    let of_title = modality_of_title(&class.title);
    let mut findings = Vec::new();
    let Some(modality) = modality.or(of_title) else { return findings };
    let name = |modality| if modality == Modality::Ct { "CT" } else { "MR" };
    if let Some(other) = of_title.filter(|other| *other != modality) {
        let message = format!("says {}, the data set is {}", name(other), name(modality));
        findings.push(error(class, Some("title"), &message));
    }
    let foreign: &[&str] = if modality == Modality::Ct { &MR_WORDS } else { &CT_WORDS };
    for Concept { name: concept, sentence } in &class.concepts {
        if let Some(word) = normalized_words(sentence).iter().find(|word| foreign.contains(&word.as_str())) {
            let message = format!("\"{word}\" says nothing in {}: \"{sentence}\"", name(modality));
            findings.push(error(class, Some(concept), &message));
        }
    }
    findings
}

fn modality_of_title(title: &str) -> Option<Modality> {
    normalized_words(title).iter().find_map(|word| match word.as_str() {
        "ct" => Some(Modality::Ct),
        "mr" | "mri" => Some(Modality::Mr),
        _ => None,
    })
}

fn too_long(class: &Description, tokenizer: Option<&Tokenizer>) -> Option<Finding> {
    let text = class.prompt();
    let (count, how) = match tokenizer {
        Some(tokenizer) => (tokenizer.count_tokens(&text), "counted by the vocabulary"),
        None => (estimated_tokens(&text), "estimated without a vocabulary"),
    };
    let message = || format!("{count} tokens ({how}), at most {MAX_TOKENS} are read; shorten its sentences");
    (count > MAX_TOKENS).then(|| error(class, None, &message()))
}

/// Word pieces of a text, with one token before it and one behind.
fn estimated_tokens(text: &str) -> usize {
    let signs = text.chars().filter(|letter| !letter.is_alphanumeric() && !letter.is_whitespace()).count();
    let pieces: usize =
        normalized_words(text).iter().map(|word| word.chars().count().div_ceil(LETTERS_PER_PIECE)).sum();
    2 + signs + pieces
}

/// What a class repeats of another that stands before it.
fn repetitions(class: &Description, other: &Description) -> Vec<Finding> {
    if class.class.to_lowercase() == other.class.to_lowercase() {
        return vec![error(class, None, "described twice")];
    }
    let pairs = class.concepts.iter().filter_map(|concept| {
        let twin = other.concepts.iter().find(|twin| twin.name == concept.name)?;
        Some((concept, normalized_words(&concept.sentence), normalized_words(&twin.sentence)))
    });
    let pairs: Vec<(&Concept, Vec<String>, Vec<String>)> =
        pairs.filter(|(_, words, _)| !words.is_empty()).collect();
    if ClassName::parse(&class.class).is_contralateral_to(&ClassName::parse(&other.class)) {
        let is_same = !pairs.is_empty() && pairs.iter().all(|(_, one, two)| one == two);
        let message = format!("every sentence is that of {}; only the title tells the side", other.class);
        return is_same.then(|| error(class, None, &message)).into_iter().collect();
    }
    let repeated = |(concept, one, two): (&Concept, Vec<String>, Vec<String>)| {
        if one == two {
            let message = format!("the same sentence as that of {}: \"{}\"", other.class, concept.sentence);
            return Some(error(class, Some(&concept.name), &message));
        }
        let message = format!("nearly the sentence of {}: \"{}\"", other.class, concept.sentence);
        let warning = Finding { severity: Severity::Warning, ..error(class, Some(&concept.name), &message) };
        differ_by_one(one, two).then_some(warning)
    };
    pairs.into_iter().filter_map(repeated).collect()
}

/// Whether two long sentences have all words but one in common, in whatever order.
fn differ_by_one(one: Vec<String>, mut other: Vec<String>) -> bool {
    let shorter = one.len().min(other.len());
    let mut only_one = 0;
    for word in one {
        match other.iter().position(|twin| *twin == word) {
            Some(index) => drop(other.swap_remove(index)),
            None => only_one += 1,
        }
    }
    shorter >= MIN_WORDS_TO_COMPARE && only_one <= 1 && other.len() <= 1
}
