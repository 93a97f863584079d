//! Means over cases and classes, counting what was left out.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::convention::{Convention, State};
use crate::score::{CaseScores, ClassScores, Settings};

/// The scores of all cases and their means, as they are written to JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Whose definitions the scores follow.
    pub convention: Convention,
    /// The distance in mm up to which NSD forgives.
    pub tolerance_mm: f64,
    /// Case by case.
    pub cases: Vec<CaseScores>,
    /// The means over the cases by the class's name, in the order of first appearance.
    pub mean: IndexMap<String, ClassMeans>,
}

/// The means of one class over the cases.
///
/// A missed class counts as 0 in Dice and NSD under every convention. It has no distance; HD95 and ASSD
/// leave it out, say how often they did and give the mean with a penalty beside. A false alarm counts as
/// its convention has it: Dice and NSD 0 (MONAI leaves Dice undefined), no distance. A class rightly absent
/// is left out, but under Metrics Reloaded, where it scores perfectly, and in the Dice of medpy, which is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMeans {
    /// Dice, 0 to 1.
    pub dice: Mean,
    /// 95 % Hausdorff distance in mm.
    pub hd95_mm: Mean,
    /// Normalized surface Dice, 0 to 1.
    pub nsd: Mean,
    /// Average symmetric surface distance in mm.
    pub assd_mm: Mean,
}

/// The mean of one score over the cases where it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// The mean; `None` over no case.
    pub mean: Option<f64>,
    /// The standard deviation of these cases (not of a population they were drawn from: divided by n);
    /// `None` over no case.
    pub std: Option<f64>,
    /// Cases that the mean is made of.
    pub cases: usize,
    /// Cases whose reference holds the class and whose prediction does not, in the mean or not.
    pub missed: usize,
    /// For distances with missed cases: the mean in which each of these counts as the diagonal of its grid.
    /// `None` too when a diagonal is unknown, as it is for cases read back from JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalized_mean: Option<f64>,
}

impl Scores {
    /// Gathers `cases`, which were scored under `settings`, and takes the means.
    pub fn new(settings: &Settings, cases: Vec<CaseScores>) -> Self {
        let mut by_class: IndexMap<String, Vec<(ClassScores, Option<f64>)>> = IndexMap::new();
        for case in &cases {
            for (name, scores) in &case.classes {
                by_class.entry(name.clone()).or_default().push((*scores, case.diagonal_mm));
            }
        }
        let mean = by_class.into_iter().map(|(name, scores)| (name, class_means(&scores))).collect();
        Self { convention: settings.convention, tolerance_mm: settings.tolerance_mm, cases, mean }
    }

    /// The mean over classes of their mean Dice, in which a missed class counts as 0. Classes whose Dice
    /// exists in no case are left out; `None` when that is all of them.
    pub fn mean_dice(&self) -> Option<f64> {
        let means: Vec<f64> = self.mean.values().filter_map(|means| means.dice.mean).collect();
        average(&means)
    }
}

impl ClassScores {
    /// Dice as a mean over cases counts it: 0 where the class was missed, `None` where it does not exist.
    pub fn dice_or_zero_if_missed(&self) -> Option<f64> {
        or_missed(self, |scores| scores.dice)
    }
}

/// A missed class counts as 0, whatever the convention.
fn or_missed(scores: &ClassScores, score: fn(&ClassScores) -> Option<f64>) -> Option<f64> {
    if scores.state == State::PredEmpty { Some(0.0) } else { score(scores) }
}

fn class_means(scores: &[(ClassScores, Option<f64>)]) -> ClassMeans {
    let missed: Vec<Option<f64>> = scores
        .iter()
        .filter(|(scores, _)| scores.state == State::PredEmpty)
        .map(|(_, diagonal_mm)| *diagonal_mm)
        .collect();
    let shares = |score: fn(&ClassScores) -> Option<f64>| {
        let values: Vec<f64> = scores.iter().filter_map(|(scores, _)| or_missed(scores, score)).collect();
        Mean { missed: missed.len(), ..Mean::of(&values) }
    };
    let distances = |score: fn(&ClassScores) -> Option<f64>| {
        let values: Vec<f64> = scores.iter().filter_map(|(scores, _)| score(scores)).collect();
        let penalties: Option<Vec<f64>> = missed.iter().copied().collect();
        let penalized_mean = penalties
            .filter(|penalties| !penalties.is_empty())
            .and_then(|penalties| average(&[values.clone(), penalties].concat()));
        Mean { missed: missed.len(), penalized_mean, ..Mean::of(&values) }
    };
    ClassMeans {
        dice: shares(|scores| scores.dice),
        hd95_mm: distances(|scores| scores.hd95_mm),
        nsd: shares(|scores| scores.nsd),
        assd_mm: distances(|scores| scores.assd_mm),
    }
}

impl Mean {
    fn of(values: &[f64]) -> Self {
        let mean = average(values);
        let squares =
            mean.map(|mean| values.iter().map(|value| (value - mean).powi(2)).collect::<Vec<f64>>());
        let std = squares.and_then(|squares| average(&squares)).map(f64::sqrt);
        Self { mean, std, cases: values.len(), ..Self::default() }
    }
}

fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
