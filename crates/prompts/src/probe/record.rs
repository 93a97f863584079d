//! Results measured, and their means by kind.

use serde::{Deserialize, Serialize};

use super::{
    calibration::Calibration,
    company::{CompanyRecord, CompanySummary},
    mask::Mask,
    question::{ProbeKind, Question},
    results::PromptResults,
};
use crate::Vocabulary;

/// One prompt about one case. What cannot be measured is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Name of the set.
    pub set: String,
    /// Name of the case.
    pub case: String,
    /// What was asked.
    pub kind: ProbeKind,
    /// Name of the concept that the prompt is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concept: Option<String>,
    /// The words.
    pub prompt: String,
    /// Voxels found.
    pub found: usize,
    /// Voxels of what the prompt names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<usize>,
    /// The measures.
    #[serde(flatten)]
    pub measures: Measures<f64>,
}

/// What is measured of an result: of one prompt (`f64`), or as a mean ([`Mean`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures<T> {
    /// Dice with what the prompt names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice: Option<T>,
    /// This Dice less that of the trained name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<T>,
    /// The share of the voxels found that lie in what the prompt names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<T>,
    /// The share of the voxels found that lie in the concept whose words were exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside_first: Option<T>,
    /// Dice with the concept whose words were exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice_first: Option<T>,
    /// Dice of the result to the nearest trained text, which a lookup would give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice_nearest: Option<T>,
    /// The same among the texts of concepts that share nothing with what the prompt names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dice_nearest_other: Option<T>,
    /// 1 where nothing was found and nothing should be, 0 where something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<T>,
    /// The probability that what the prompt names is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<T>,
}

// Derived, it would ask for a default of `T`.
impl<T> Default for Measures<T> {
    fn default() -> Self {
        Self {
            dice: None,
            difference: None,
            inside: None,
            inside_first: None,
            dice_first: None,
            dice_nearest: None,
            dice_nearest_other: None,
            silent: None,
            presence: None,
        }
    }
}

/// A mean over prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Prompts that it is of.
    pub n: usize,
}

/// The means of a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindSummary {
    /// What was asked.
    pub kind: ProbeKind,
    /// Prompts.
    pub n: usize,
    /// The means, each over the prompts of which it can be measured.
    #[serde(flatten)]
    pub measures: Measures<Mean>,
}

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// Random seed.
    pub seed: u64,
    /// Cases.
    pub cases: usize,
    /// Means by kind, of those that were asked.
    pub kinds: Vec<KindSummary>,
    /// What company changes, by its size.
    pub company: Vec<CompanySummary>,
    /// Presence against truth, over all concepts under their own names; `None` without a presence head.
    pub calibration: Option<Calibration>,
    /// Every prompt.
    pub records: Vec<ProbeRecord>,
    /// Every prompt in company.
    pub company_records: Vec<CompanyRecord>,
}

impl ProbeResult {
    pub(super) fn new(
        seed: u64,
        cases: usize,
        records: Vec<ProbeRecord>,
        company_records: Vec<CompanyRecord>,
    ) -> Self {
        let kinds = ProbeKind::ALL.into_iter().filter_map(|kind| KindSummary::new(kind, &records)).collect();
        let own_names = records.iter().filter(|record| record.kind.is_own_name());
        let pairs: Vec<(f64, bool)> =
            own_names.filter_map(|record| Some((record.measures.presence?, record.reference? > 0))).collect();
        let company = CompanySummary::of_sizes(&company_records);
        let calibration = Calibration::new(&pairs);
        Self { seed, cases, kinds, company, calibration, records, company_records }
    }

    /// The means of a kind, if it was asked.
    pub fn kind(&self, kind: ProbeKind) -> Option<&KindSummary> {
        self.kinds.iter().find(|summary| summary.kind == kind)
    }
}

impl ProbeRecord {
    pub(super) fn new(
        [set, case]: [&str; 2],
        question: &Question,
        results: &PromptResults,
        vocabulary: &Vocabulary,
    ) -> Self {
        let result = results.get(&question.prompt);
        let there = question.named.as_ref().filter(|named| !named.is_empty());
        let dice = |prompt: &String| there.and_then(|named| results.get(prompt).mask.dice(named));
        let expects_silence =
            question.kind.is_foreign() || question.named.as_ref().is_some_and(Mask::is_empty);
        let first = question.first.as_ref();
        let own = dice(&question.prompt);
        Self {
            set: set.to_owned(),
            case: case.to_owned(),
            kind: question.kind,
            concept: question.concept.map(|concept| vocabulary.concepts[concept].name.clone()),
            prompt: question.prompt.clone(),
            found: result.mask.len(),
            reference: question.named.as_ref().map(Mask::len),
            measures: Measures {
                dice: own,
                difference: question.base.as_ref().and_then(dice).zip(own).map(|(base, own)| own - base),
                inside: there.and_then(|named| result.mask.share_in(named)),
                inside_first: first.and_then(|first| result.mask.share_in(first)),
                dice_first: first.and_then(|first| result.mask.dice(first)),
                dice_nearest: question.nearest.as_ref().and_then(dice),
                dice_nearest_other: question.nearest_other.as_ref().and_then(dice),
                silent: expects_silence.then(|| f64::from(u8::from(result.mask.is_silent()))),
                presence: result.presence,
            },
        }
    }
}

impl KindSummary {
    fn new(kind: ProbeKind, records: &[ProbeRecord]) -> Option<Self> {
        let measures: Vec<&Measures<f64>> =
            records.iter().filter(|record| record.kind == kind).map(|record| &record.measures).collect();
        let mean = |measure: fn(&Measures<f64>) -> Option<f64>| {
            Mean::new(measures.iter().filter_map(|measures| measure(measures)))
        };
        (!measures.is_empty()).then(|| Self {
            kind,
            n: measures.len(),
            measures: Measures {
                dice: mean(|measures| measures.dice),
                difference: mean(|measures| measures.difference),
                inside: mean(|measures| measures.inside),
                inside_first: mean(|measures| measures.inside_first),
                dice_first: mean(|measures| measures.dice_first),
                dice_nearest: mean(|measures| measures.dice_nearest),
                dice_nearest_other: mean(|measures| measures.dice_nearest_other),
                silent: mean(|measures| measures.silent),
                presence: mean(|measures| measures.presence),
            },
        })
    }
}

impl Mean {
    /// `None` without values.
    pub(super) fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
        (n > 0).then(|| Self { mean: sum / n as f64, n })
    }
}
