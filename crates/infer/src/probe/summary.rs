//! The answers of all cases in one table: each text against the text as trained.

use bipvl_metrics::bootstrap::{Bootstrap, Interval};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{CaseMeasurement, PromptResult};
use bipvl_text::perturbations::{Perturbation, PerturbationSet, PerturbedText};

/// All that a probe found, as it is written to JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensitivitySummary {
    /// How many cases were segmented under each text.
    pub cases: usize,
    /// How the intervals were made. Its seed made the texts too.
    pub bootstrap: Bootstrap,
    /// One for each text, the text as trained first.
    pub rows: Vec<PerturbationRow>,
    /// Texts that were not made.
    pub skipped: Vec<SkippedPerturbation>,
}

/// A text that was not made, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedPerturbation {
    /// What would have been done.
    pub variant: String,
    /// Why it was not.
    pub reason: String,
}

/// What one text did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerturbationRow {
    /// What was done to the text, in words.
    pub variant: String,
    /// What was done to the text.
    pub kind: Perturbation,
    /// The class whose text alone was replaced.
    pub class: Option<String>,
    /// Texts that are longer than what the network reads of them.
    pub truncated_texts: usize,
    /// Dice of a case in the mean over the classes that its reference has.
    pub mean: PairedComparison,
    /// Volume in ml whose label is another than under the text as trained; mean over cases.
    pub changed_ml: f64,
    /// Class by class.
    pub classes: IndexMap<String, ClassResult>,
    /// The whole text of each class.
    pub texts: Vec<String>,
}

/// A mean over cases beside that of the text as trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedComparison {
    /// The mean Dice; `None` where no reference has the class.
    pub dice: Option<f64>,
    /// Dice minus that of the text as trained, paired by case; `None` for the text as trained itself.
    pub difference: Option<Interval>,
}

/// What one text made of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassResult {
    /// Dice over the cases whose reference has the class.
    pub dice: PairedComparison,
    /// Volume predicted in ml; mean over all cases.
    pub predicted_ml: f64,
    /// Volume of the reference in ml; mean over all cases.
    pub reference_ml: f64,
}

impl SensitivitySummary {
    /// Compares the answers, `[cases][variants]`, with those to the first variant. `count_truncated` tells how many of
    /// the texts of a variant are too long.
    pub fn of(
        variants: &PerturbationSet,
        classes: &[String],
        answers: &[Vec<PromptResult>],
        bootstrap: Bootstrap,
        count_truncated: &dyn Fn(&[String]) -> usize,
    ) -> Self {
        let row = |(place, variant): (usize, &PerturbedText)| PerturbationRow {
            variant: variant.name.clone(),
            kind: variant.kind,
            class: variant.class.map(|class| classes[class].clone()),
            truncated_texts: count_truncated(&variant.texts),
            mean: compare(answers, place, &bootstrap, mean_dice),
            changed_ml: mean(answers.iter().map(|case| case[place].changed_ml)),
            classes: classes
                .iter()
                .enumerate()
                .map(|(class, name)| (name.clone(), class_row(answers, place, class, &bootstrap)))
                .collect(),
            texts: variant.texts.clone(),
        };
        let skipped = variants.skipped.iter();
        Self {
            cases: answers.len(),
            bootstrap,
            rows: variants.texts.iter().enumerate().map(row).collect(),
            skipped: skipped
                .map(|(variant, reason)| SkippedPerturbation {
                    variant: variant.clone(),
                    reason: reason.clone(),
                })
                .collect(),
        }
    }
}

fn class_row(
    answers: &[Vec<PromptResult>],
    place: usize,
    class: usize,
    bootstrap: &Bootstrap,
) -> ClassResult {
    let found = |case: &Vec<PromptResult>| -> CaseMeasurement { case[place].classes[class] };
    ClassResult {
        dice: compare(answers, place, bootstrap, |answer| answer.classes[class].dice),
        predicted_ml: mean(answers.iter().map(|case| found(case).predicted_ml)),
        reference_ml: mean(answers.iter().map(|case| found(case).reference_ml)),
    }
}

/// The mean over the cases where the score exists; it exists under every text or under none, for that is a matter
/// of the reference.
fn compare(
    answers: &[Vec<PromptResult>],
    place: usize,
    bootstrap: &Bootstrap,
    score: impl Fn(&PromptResult) -> Option<f64>,
) -> PairedComparison {
    let scores =
        |place: usize| -> Vec<f64> { answers.iter().filter_map(|case| score(&case[place])).collect() };
    let (own, trained) = (scores(place), scores(0));
    PairedComparison {
        dice: (!own.is_empty()).then(|| mean(own.iter().copied())),
        difference: if place == 0 { None } else { bootstrap.paired_mean_difference(&own, &trained) },
    }
}

fn mean_dice(answer: &PromptResult) -> Option<f64> {
    let scores: Vec<f64> = answer.classes.iter().filter_map(|found| found.dice).collect();
    (!scores.is_empty()).then(|| mean(scores.iter().copied()))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}
