//! What the company of other prompts changes.

use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    ProbeConfig,
    mask::Mask,
    nonsense::nonsense,
    question::{ProbeKind, Question},
    reader::PromptReader,
    record::Mean,
    results::CaseReader,
};
use crate::Vocabulary;

/// A prompt asked alone and in company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanyRecord {
    /// Name of the set.
    pub set: String,
    /// Name of the case.
    pub case: String,
    /// The words.
    pub prompt: String,
    /// Other prompts beside it.
    pub others: usize,
    /// Voxels found alone or in company but not in both, as a share of those found in either.
    pub changed: Option<f64>,
    /// Dice in company.
    pub dice: Option<f64>,
    /// This Dice less that alone.
    pub difference: Option<f64>,
}

/// What company of one size changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompanySummary {
    /// Other prompts.
    pub others: usize,
    /// Prompts asked alone and in company.
    pub n: usize,
    /// Mean share of voxels that change.
    pub changed: Option<Mean>,
    /// Mean Dice in company.
    pub dice: Option<Mean>,
    /// Mean difference to the Dice alone.
    pub difference: Option<Mean>,
}

impl CompanySummary {
    pub(super) fn of_sizes(records: &[CompanyRecord]) -> Vec<Self> {
        let mut sizes: Vec<usize> = records.iter().map(|record| record.others).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes.into_iter().map(|others| Self::new(others, records)).collect()
    }

    fn new(others: usize, records: &[CompanyRecord]) -> Self {
        let of_size: Vec<&CompanyRecord> = records.iter().filter(|record| record.others == others).collect();
        Self {
            others,
            n: of_size.len(),
            changed: Mean::new(of_size.iter().filter_map(|record| record.changed)),
            dice: Mean::new(of_size.iter().filter_map(|record| record.dice)),
            difference: Mean::new(of_size.iter().filter_map(|record| record.difference)),
        }
    }
}

/// Asks some of the concepts of a case alone and in company of each size. The company are names of other concepts, there
/// or not, and where they do not suffice, nonsense.
pub(super) fn company<R: PromptReader>(
    reader: &CaseReader<'_, R>,
    [set, case]: [&str; 2],
    questions: &[Question],
    vocabulary: &Vocabulary,
    config: &ProbeConfig,
    rng: &mut ChaCha8Rng,
) -> Vec<CompanyRecord> {
    let trained: Vec<&Question> =
        questions.iter().filter(|question| question.kind == ProbeKind::Trained).collect();
    let asked: Vec<(&String, &Mask)> = trained
        .choose_multiple(rng, config.in_company)
        .filter_map(|question| Some((&question.prompt, question.named.as_ref()?)))
        .collect();
    let alone: Vec<Mask> =
        asked.iter().map(|(prompt, _)| reader.together(&[(*prompt).clone()]).remove(0).mask).collect();
    let mut names: Vec<String> = vocabulary.concepts.iter().map(|concept| concept.name.clone()).collect();
    let mut records = Vec::new();
    for others in &config.company {
        // Those that are asked are company to each other, where there is room.
        for (group, alone) in asked.chunks(others + 1).zip(alone.chunks(others + 1)) {
            names.shuffle(rng);
            let mut prompts: Vec<String> = group.iter().map(|(prompt, _)| (*prompt).clone()).collect();
            let is_other = |name: &&String| group.iter().all(|(prompt, _)| prompt != name);
            prompts.extend(names.iter().filter(is_other).take(others + 1 - group.len()).cloned());
            while prompts.len() <= *others {
                prompts.push(nonsense(vocabulary, rng));
            }
            let results = reader.together(&prompts);
            for (((prompt, named), alone), result) in group.iter().zip(alone).zip(results) {
                let [dice, dice_alone] = [&result.mask, alone].map(|mask| mask.dice(named));
                records.push(CompanyRecord {
                    set: set.to_owned(),
                    case: case.to_owned(),
                    prompt: (*prompt).clone(),
                    others: *others,
                    changed: result.mask.changed(alone),
                    dice,
                    difference: dice.zip(dice_alone).map(|(dice, alone)| dice - alone),
                });
            }
        }
    }
    records
}
