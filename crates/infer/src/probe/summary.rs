//! Summary over all cases: each perturbation against the text of the training.

use bipvl_metrics::bootstrap::{Bootstrap, Interval};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{CaseMeasurement, PromptResult};
use bipvl_text::perturbations::{Perturbation, PerturbationSet, PerturbedText};

/// The result of `bipvl probe`, as written to JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensitivitySummary {
    /// Number of cases.
    pub cases: usize,
    /// Settings of the confidence intervals; the seed is also that of the perturbations.
    pub bootstrap: Bootstrap,
    /// One row per perturbation, the text of the training first.
    pub rows: Vec<PerturbationRow>,
    /// Perturbations that were not possible.
    pub skipped: Vec<SkippedPerturbation>,
}

/// A perturbation that was not possible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedPerturbation {
    /// Its name.
    pub variant: String,
    /// The reason.
    pub reason: String,
}

/// The result of one perturbation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerturbationRow {
    /// Name of the perturbation.
    pub variant: String,
    /// Its kind.
    pub kind: Perturbation,
    /// The class, if only its text was changed.
    pub class: Option<String>,
    /// Number of truncated texts.
    pub truncated_texts: usize,
    /// Dice, per case the mean over the classes of its reference.
    pub mean: PairedComparison,
    /// Volume in ml with another label than with the text of the training; mean over cases.
    pub changed_ml: f64,
    /// Per class.
    pub classes: IndexMap<String, ClassResult>,
    /// The prompt of each class.
    pub texts: Vec<String>,
}

/// A mean over cases, compared with that of the text of the training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairedComparison {
    /// Mean Dice; `None` if no reference has the class.
    pub dice: Option<f64>,
    /// Dice minus that of the text of the training, paired by case; `None` for that text itself.
    pub difference: Option<Interval>,
}

/// One class with one perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassResult {
    /// Dice over the cases with the class in the reference.
    pub dice: PairedComparison,
    /// Predicted volume in ml; mean over all cases.
    pub predicted_ml: f64,
    /// Reference volume in ml; mean over all cases.
    pub reference_ml: f64,
}

impl SensitivitySummary {
    /// Compares the results, `[cases][variants]`, with those of the first variant. `count_truncated` is the number of
    /// truncated texts of a variant.
    pub fn new(
        variants: &PerturbationSet,
        classes: &[String],
        results: &[Vec<PromptResult>],
        bootstrap: Bootstrap,
        count_truncated: &dyn Fn(&[String]) -> usize,
    ) -> Self {
        let row = |(place, variant): (usize, &PerturbedText)| PerturbationRow {
            variant: variant.name.clone(),
            kind: variant.kind,
            class: variant.class.map(|class| classes[class].clone()),
            truncated_texts: count_truncated(&variant.texts),
            mean: compare(results, place, &bootstrap, mean_dice),
            changed_ml: mean(results.iter().map(|case| case[place].changed_ml)),
            classes: classes
                .iter()
                .enumerate()
                .map(|(class, name)| (name.clone(), class_result(results, place, class, &bootstrap)))
                .collect(),
            texts: variant.texts.clone(),
        };
        let skipped = variants.skipped.iter();
        Self {
            cases: results.len(),
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

fn class_result(
    results: &[Vec<PromptResult>],
    place: usize,
    class: usize,
    bootstrap: &Bootstrap,
) -> ClassResult {
    let measurement = |case: &Vec<PromptResult>| -> CaseMeasurement { case[place].classes[class] };
    ClassResult {
        dice: compare(results, place, bootstrap, |result| result.classes[class].dice),
        predicted_ml: mean(results.iter().map(|case| measurement(case).predicted_ml)),
        reference_ml: mean(results.iter().map(|case| measurement(case).reference_ml)),
    }
}

/// The mean over the cases with a score. Whether there is one depends on the reference, not on the prompt.
fn compare(
    results: &[Vec<PromptResult>],
    place: usize,
    bootstrap: &Bootstrap,
    score: impl Fn(&PromptResult) -> Option<f64>,
) -> PairedComparison {
    let scores =
        |place: usize| -> Vec<f64> { results.iter().filter_map(|case| score(&case[place])).collect() };
    let (own, trained) = (scores(place), scores(0));
    PairedComparison {
        dice: (!own.is_empty()).then(|| mean(own.iter().copied())),
        difference: if place == 0 { None } else { bootstrap.paired_mean_difference(&own, &trained) },
    }
}

fn mean_dice(result: &PromptResult) -> Option<f64> {
    let scores: Vec<f64> = result.classes.iter().filter_map(|measurement| measurement.dice).collect();
    (!scores.is_empty()).then(|| mean(scores.iter().copied()))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}
