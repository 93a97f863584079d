//! Whether a prompted network reads its prompts, or looks them up.
//!
//! Good scores of trained names prove nothing: names are arbitrary for what was trained. [`probe`] asks every case for the
//! other side, another part, other words, what is not there and what is nowhere, alone and in company, and measures the
//! results against the reference. Two controls stand beside them: the result to the nearest trained text, and random
//! strings ([`code_book`](mod@crate::code_book)), so that nobody takes a lookup for reading.

mod results;
mod calibration;
mod case;
mod company;
mod example;
mod mask;
mod nearest;
pub(crate) mod nonsense;
mod plan;
mod question;
mod reader;
mod record;
#[cfg(test)]
mod tests;
mod wording;

use std::ops::ControlFlow;

use bipvl_imaging::IGNORE_INDEX;
use bipvl_text::Synonyms;
use indexmap::IndexMap;

pub use calibration::{Calibration, ReliabilityBin, auroc};
pub use case::ProbeCase;
pub use company::{CompanyRecord, CompanySummary};
pub use example::ProbeExample;
pub use mask::Mask;
pub use nearest::cosine;
pub use nonsense::{nonsense, other_world};
pub use question::ProbeKind;
pub use reader::{PromptReader, PromptResult};
pub use record::{KindSummary, Mean, Measures, ProbeRecord, ProbeResult};

use crate::Vocabulary;
use plan::Plan;
use results::CaseReader;

/// What is asked, and how much of it.
#[derive(Clone, Debug)]
pub struct ProbeConfig {
    /// Random seed of typos, nonsense, choices and the code book.
    pub seed: u64,
    /// Names of concepts that training shows, but never names but within unions.
    pub held_out: Vec<String>,
    /// Names of concepts that training never shows.
    pub unseen: Vec<String>,
    /// Other wordings by the name of their concept; those that
    /// [`is_held_out`](bipvl_text::prompts::is_held_out) says were not trained.
    pub paraphrases: IndexMap<String, Vec<String>>,
    /// Names of organs, for wordings that training did not use.
    pub synonyms: Synonyms,
    /// Phrases that no scan shows.
    pub other_world: Vec<String>,
    /// Prompts of another world, and as many of nonsense, for each case.
    pub foreign: usize,
    /// Wordings of each kind for a concept of a case at most.
    pub wordings: usize,
    /// Prompts of a kind for each case at most, drawn if there are more.
    pub per_kind: usize,
    /// Sizes of the company.
    pub company: Vec<usize>,
    /// Concepts of a case that are asked in company at most.
    pub in_company: usize,
    /// Prompts asked together, but for company.
    pub at_once: usize,
    /// The class index of voxels of which the reference says nothing.
    pub ignore: u8,
    /// Examples of a kind for pictures at most, each of another case.
    pub examples: usize,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            held_out: Vec::new(),
            unseen: Vec::new(),
            paraphrases: IndexMap::new(),
            synonyms: Synonyms::builtin(),
            other_world: other_world(),
            foreign: 8,
            wordings: 2,
            per_kind: 64,
            company: vec![4, 16, 48],
            in_company: 4,
            at_once: 16,
            ignore: IGNORE_INDEX,
            examples: 2,
        }
    }
}

impl ProbeConfig {
    fn is_trained(&self, name: &str) -> bool {
        !self.held_out.iter().chain(&self.unseen).any(|held_out| held_out == name)
    }
}

/// What a probe measured, and some results to draw.
#[derive(Clone, Debug)]
pub struct Probe {
    /// All measures, to be written as JSON.
    pub result: ProbeResult,
    /// Results for pictures.
    pub examples: Vec<ProbeExample>,
}

/// Asks a reader everything about every case, one case in memory at a time.
///
/// `vocabulary` is that of the training. `on_case` is called after each case with how many are done; `None` where it breaks.
/// The questions about a case depend on the seed and on its name, not on the other cases.
pub fn probe(
    reader: &impl PromptReader,
    vocabulary: &Vocabulary,
    cases: impl IntoIterator<Item = ProbeCase>,
    config: &ProbeConfig,
    on_case: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Probe> {
    let plan = Plan::new(vocabulary, config);
    let (mut records, mut in_company, mut examples) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for case in cases {
        let id = [case.set.as_str(), case.id.as_str()];
        let mut rng = crate::code_book::generator(config.seed, &id.join("/"));
        let questions = plan.questions(&case, &mut rng);
        let reader = CaseReader::new(reader, &case, config.ignore);
        let prompts = questions.iter().flat_map(question::Question::prompts);
        let results = reader.in_groups(prompts, config.at_once, &mut rng);
        records.extend(questions.iter().map(|question| ProbeRecord::new(id, question, &results, vocabulary)));
        in_company.extend(company::company(&reader, id, &questions, vocabulary, config, &mut rng));
        example::add_examples(&mut examples, config.examples, &case, &questions, &results);
        count += 1;
        if on_case(count).is_break() {
            return None;
        }
    }
    let result = ProbeResult::new(config.seed, count, records, in_company);
    Some(Probe { result, examples })
}
