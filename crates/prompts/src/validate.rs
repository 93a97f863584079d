//! Segments the validation cases by the names of their concepts and scores them on the preprocessed grid.

use bipvl_data::CachedCase;
use bipvl_train::communicator::Communicator;
use indexmap::IndexMap;
use ndarray::{Array3, s};

use crate::{
    predictor::{EncodedTexts, PromptPredictor},
    vocabulary::{Knowledge, Vocabulary},
};

/// Fewer voxels than this are no finding.
pub const MIN_FOUND_VOXELS: usize = 8;

/// A preprocessed case, and what it says of every concept.
#[derive(Debug)]
pub struct ValidationCase {
    /// Name of its set.
    pub set: String,
    /// Image and labels.
    pub case: CachedCase,
    /// In the order of the vocabulary.
    pub knowledge: Vec<Knowledge>,
}

/// Dice of the validation cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptValidation {
    /// `set / concept` → mean over the cases that show it; a missed one counts as 0.
    pub dice: IndexMap<String, f64>,
    /// Share of prompts for absent concepts that found something.
    pub false_alarms: f64,
}

impl PromptValidation {
    /// Mean over concepts.
    pub fn mean_dice(&self) -> f64 {
        self.dice.values().sum::<f64>() / self.dice.len().max(1) as f64
    }
}

/// Voxels of a prediction, of the reference, and of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Predicted.
    pub found: usize,
    /// In the reference.
    pub reference: usize,
    /// In both.
    pub both: usize,
}

impl Overlap {
    /// `None` where neither has a voxel.
    pub fn dice(&self) -> Option<f64> {
        let total = self.found + self.reference;
        (total > 0).then(|| 2.0 * self.both as f64 / total as f64)
    }
}

/// Scores a predictor on cases with every concept that is labeled in them and `is_prompted`, and no union. Each rank
/// scores its share; the result is the same on all.
pub fn validate(
    predictor: &PromptPredictor,
    vocabulary: &Vocabulary,
    cases: &[ValidationCase],
    is_prompted: impl Fn(usize) -> bool,
    ignore: u8,
    communicator: &dyn Communicator,
) -> PromptValidation {
    let concepts = vocabulary.concepts.len();
    let mut outcomes = vec![0.0; cases.len() * concepts * Outcome::VALUES];
    let is_prompted = |concept: usize| vocabulary.concepts[concept].parts.is_empty() && is_prompted(concept);
    let shares = cases.iter().zip(outcomes.chunks_exact_mut(concepts * Outcome::VALUES));
    for (case, outcomes) in shares.skip(communicator.rank()).step_by(communicator.size()) {
        validate_case(predictor, vocabulary, case, is_prompted, ignore, outcomes);
    }
    communicator.sum_f64(&mut outcomes);
    let mut sums: IndexMap<String, (f64, usize)> = IndexMap::new();
    let (mut alarms, mut absent) = (0, 0);
    for (index, outcome) in outcomes.chunks_exact(Outcome::VALUES).enumerate() {
        match Outcome::from_values(outcome) {
            Outcome::None => {}
            Outcome::Shown { dice } => {
                let name = &vocabulary.concepts[index % concepts].name;
                let key = format!("{} / {name}", cases[index / concepts].set);
                let (sum, count) = sums.entry(key).or_default();
                *sum += dice;
                *count += 1;
            }
            Outcome::Absent { is_alarm } => {
                absent += 1;
                alarms += usize::from(is_alarm);
            }
        }
    }
    let dice = sums.into_iter().map(|(key, (sum, count))| (key, sum / count as f64)).collect();
    PromptValidation { dice, false_alarms: f64::from(alarms as u32) / f64::from(absent.max(1) as u32) }
}

/// What came of one concept in one case; as numbers, so that ranks can be added up.
enum Outcome {
    /// Not prompted.
    None,
    Shown {
        dice: f64,
    },
    Absent {
        is_alarm: bool,
    },
}

impl Outcome {
    const VALUES: usize = 2;

    fn of(overlap: Overlap) -> Self {
        if overlap.reference > 0 {
            Self::Shown { dice: overlap.dice().unwrap_or(0.0) }
        } else {
            Self::Absent { is_alarm: overlap.found >= MIN_FOUND_VOXELS }
        }
    }

    fn values(&self) -> [f64; Self::VALUES] {
        match self {
            Self::None => [0.0, 0.0],
            Self::Shown { dice } => [1.0, *dice],
            Self::Absent { is_alarm } => [2.0, if *is_alarm { 1.0 } else { 0.0 }],
        }
    }

    fn from_values(values: &[f64]) -> Self {
        if values[0] == 1.0 {
            Self::Shown { dice: values[1] }
        } else if values[0] == 2.0 {
            Self::Absent { is_alarm: values[1] > 0.0 }
        } else {
            Self::None
        }
    }
}

fn validate_case(
    predictor: &PromptPredictor,
    vocabulary: &Vocabulary,
    ValidationCase { case, knowledge, .. }: &ValidationCase,
    is_prompted: impl Fn(usize) -> bool,
    ignore: u8,
    outcomes: &mut [f64],
) {
    let prompted: Vec<(usize, &[u8])> = knowledge
        .iter()
        .enumerate()
        .filter(|(concept, _)| is_prompted(*concept))
        .filter_map(|(concept, knowledge)| match knowledge {
            Knowledge::Labeled(labels) => Some((concept, labels.as_slice())),
            Knowledge::Absent => Some((concept, &[][..])),
            Knowledge::Unknown => None,
        })
        .collect();
    if prompted.is_empty() {
        return;
    }
    let names: Vec<String> =
        prompted.iter().map(|(concept, _)| vocabulary.concepts[*concept].name.clone()).collect();
    let masks: Vec<&[u8]> = prompted.iter().map(|(_, labels)| *labels).collect();
    let overlaps = score(predictor, &predictor.encode(&names), case, &masks, ignore);
    for ((concept, _), overlap) in prompted.iter().zip(overlaps) {
        let values = Outcome::of(overlap).values();
        outcomes[concept * Outcome::VALUES..][..Outcome::VALUES].copy_from_slice(&values);
    }
}

/// The overlap of each prompt's mask with these class indices of the reference.
pub fn score(
    predictor: &PromptPredictor,
    prompts: &EncodedTexts,
    case: &CachedCase,
    masks: &[&[u8]],
    ignore: u8,
) -> Vec<Overlap> {
    let sample = case.crop([0; 3], case.grid().shape());
    let mut overlaps = vec![Overlap::default(); masks.len()];
    predictor.run(prompts, sample.image.view(), |start, logits| {
        let (_, x, y, z) = logits.dim();
        let region = s![start[0]..start[0] + x, start[1]..start[1] + y, start[2]..start[2] + z];
        let reference: Array3<u8> = sample.labels.slice(region).to_owned();
        for ((overlap, labels), logits) in overlaps.iter_mut().zip(masks).zip(logits.outer_iter()) {
            for (logit, label) in logits.iter().zip(&reference) {
                if *label == ignore {
                    continue;
                }
                let (is_found, is_there) = (*logit >= 0.0, labels.contains(label));
                overlap.found += usize::from(is_found);
                overlap.reference += usize::from(is_there);
                overlap.both += usize::from(is_found && is_there);
            }
        }
    });
    overlaps
}
