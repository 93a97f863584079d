//! Linter for descriptions: gaps, repetitions, contradictions, length.

use std::fmt::{self, Display, Formatter};

use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description, Descriptions, Laterality, Tokenizer, normalized_words};

/// Position embeddings of BERT; longer prompts are truncated.
const MAX_TOKENS: usize = 512;
/// Estimate without a tokenizer: a token per five letters begun of a word, and per punctuation mark. For anatomical
/// English that is a sixth more than the uncased vocabulary of BERT gives.
const LETTERS_PER_PIECE: usize = 5;
const MIN_WORDS: usize = 4;
/// Only longer sentences are too similar if they differ by one word.
const MIN_WORDS_TO_COMPARE: usize = 8;
/// Words of MR that are wrong in CT.
const MR_WORDS: [&str; 9] =
    ["signal", "t1", "t2", "flair", "weighted", "hyperintense", "hypointense", "isointense", "t1w"];
/// Words of CT that are wrong in MR.
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
/// A side is a position if one of these or nothing follows it.
const PLACES: [&str; 8] = ["side", "half", "flank", "hemithorax", "part", "quadrant", "upper", "lower"];
/// Or one of these after "the" and the side: "right behind" without "the" means "just behind".
const PREPOSITIONS: [&str; 6] = ["in", "under", "behind", "above", "below", "beside"];
/// A side "of" one of these is a position; "of" anything else it is a relation.
const BODY: [&str; 13] = [
    "midline", "spine", "body", "patient", "chest", "abdomen", "pelvis", "head", "neck", "trunk", "scan",
    "image", "region",
];

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The text is wrong.
    Error,
    /// The text may be intended.
    Warning,
}

impl Display for Severity {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One fault of a description; its text names class and concept, not the severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The severity.
    pub severity: Severity,
    /// The class.
    pub class: String,
    /// The concept, `name` or `title`; `None` if the whole class is concerned.
    pub concept: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let concept = self.concept.as_ref().map(|concept| format!(", {concept}")).unwrap_or_default();
        write!(formatter, "{}{concept}: {}", self.class, self.message)
    }
}

/// Checks the descriptions of all classes:
///
/// - errors: missing concepts, empty or very short texts, duplicate classes, sentences shared with another class,
///   contralateral classes that only the title distinguishes, a side that contradicts the name, words of the other
///   modality, more tokens than BERT has positions;
/// - warnings: sentences that differ from those of another class by one word.
///
/// Contralateral classes may share sentences. Without `modality`, that of each title counts. Without `tokenizer`, tokens
/// are estimated.
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
        findings.extend(excess_length(class, tokenizer));
        for other in &descriptions.classes[..index] {
            findings.extend(repetitions(class, other));
        }
    }
    findings
}

/// The checks of [`lint()`] that concern a single class.
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

/// The sides that a sentence names as positions, not as parts of names ("above the left kidney").
fn places(sentence: &str) -> Vec<Laterality> {
    // Punctuation ends a phrase.
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

fn excess_length(class: &Description, tokenizer: Option<&Tokenizer>) -> Option<Finding> {
    let text = class.prompt();
    let (count, how) = match tokenizer {
        Some(tokenizer) => (tokenizer.count_tokens(&text), "counted by the vocabulary"),
        None => (estimated_tokens(&text), "estimated without a vocabulary"),
    };
    let message = || format!("{count} tokens ({how}), at most {MAX_TOKENS} are read; shorten its sentences");
    (count > MAX_TOKENS).then(|| error(class, None, &message()))
}

/// Estimated tokens of a text with `[CLS]` and `[SEP]`.
fn estimated_tokens(text: &str) -> usize {
    let signs = text.chars().filter(|letter| !letter.is_alphanumeric() && !letter.is_whitespace()).count();
    let pieces: usize =
        normalized_words(text).iter().map(|word| word.chars().count().div_ceil(LETTERS_PER_PIECE)).sum();
    2 + signs + pieces
}

/// Repetitions of an earlier class.
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
        let message = format!("every sentence is that of {}; only the title states the side", other.class);
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

/// Whether two long sentences differ by at most one word, in any order.
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
