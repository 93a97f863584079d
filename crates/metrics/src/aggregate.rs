//! Means over cases and classes, with the number of missed classes beside them.

use indexmap::IndexMap;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Bootstrap;
use crate::convention::{Convention, MaskPresence};
use crate::score::{CaseScores, ClassScores, MetricConfig};

/// Seed of all confidence intervals, so that equal scores give equal intervals.
const BOOTSTRAP_SEED: u64 = 0;

/// The scores of all cases and their means: the content of `scores.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// Metric definitions.
    pub convention: Convention,
    /// Tolerance of NSD in mm.
    pub tolerance_mm: f64,
    /// Label of reference voxels that were excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_label: Option<u16>,
    /// Scores by case.
    pub cases: Vec<CaseScores>,
    /// Means over the cases by class name, in the order of first occurrence.
    pub mean: IndexMap<String, ClassSummary>,
}

/// Means of one class over the cases.
///
/// A missed class counts as 0 in Dice and NSD under every convention. Its HD95 and ASSD are undefined and left out of
/// the mean; [`ScoreSummary::missed`] counts them and [`ScoreSummary::penalized_mean`] includes them. A false alarm
/// counts as its convention defines it: Dice and NSD 0 (MONAI leaves Dice undefined), no distance. A class that is
/// absent from both masks is left out, except that Metrics Reloaded scores it as perfect and medpy as Dice 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSummary {
    /// Dice similarity coefficient, 0 to 1.
    pub dice: ScoreSummary,
    /// 95 % Hausdorff distance in mm.
    pub hd95_mm: ScoreSummary,
    /// Normalized surface Dice, 0 to 1.
    pub nsd: ScoreSummary,
    /// Average symmetric surface distance in mm.
    pub assd_mm: ScoreSummary,
}

/// Mean of one metric over the cases in which it is defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreSummary {
    /// Mean; `None` without cases.
    pub mean: Option<f64>,
    /// Population standard deviation over the cases (divided by n); `None` without cases.
    pub std: Option<f64>,
    /// 95 % confidence interval of the mean by percentile bootstrap over the cases; `None` for fewer than two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci95: Option<[f64; 2]>,
    /// Number of cases in the mean.
    pub cases: usize,
    /// Number of cases in which the class was missed, whether or not they are in the mean.
    pub missed: usize,
    /// Distances only: mean in which each missed case counts as the diagonal of its grid. `None` if no case was missed
    /// or a diagonal is unknown, as for cases read back from JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalized_mean: Option<f64>,
}

impl Scores {
    /// Summarizes `cases`, which were scored with `config`.
    pub fn new(config: &MetricConfig, cases: Vec<CaseScores>) -> Self {
        let mut by_class: IndexMap<String, Vec<(ClassScores, Option<f64>)>> = IndexMap::new();
        for case in &cases {
            for (name, scores) in &case.classes {
                by_class.entry(name.clone()).or_default().push((*scores, case.diagonal_mm));
            }
        }
        let classes: Vec<_> = by_class.into_iter().collect();
        let mean: Vec<_> =
            classes.into_par_iter().map(|(name, scores)| (name, ClassSummary::new(&scores))).collect();
        let MetricConfig { convention, tolerance_mm, ignore_label } = *config;
        Self { convention, tolerance_mm, ignore_label, cases, mean: mean.into_iter().collect() }
    }

    /// Mean over the classes of their mean Dice, in which a missed class counts as 0. Classes whose Dice is undefined in
    /// all cases are left out; `None` if that is every class.
    pub fn mean_dice(&self) -> Option<f64> {
        let means: Vec<f64> = self.mean.values().filter_map(|class| class.dice.mean).collect();
        average(&means)
    }

    /// Indices of the cases from the lowest to the highest mean Dice over the classes; undefined means count as 0.
    pub fn worst_first(&self) -> Vec<usize> {
        let mean = |index: &usize| {
            let classes = self.cases[*index].classes.values();
            average(&classes.filter_map(|class| class.dice).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
        order
    }
}

impl ClassScores {
    /// Dice as it enters the mean over cases: 0 if the class was missed, `None` if undefined.
    pub fn dice_or_zero_if_missed(&self) -> Option<f64> {
        self.or_zero_if_missed(self.dice)
    }

    fn or_zero_if_missed(&self, score: Option<f64>) -> Option<f64> {
        if self.presence == MaskPresence::OnlyReference { Some(0.0) } else { score }
    }
}

impl ClassSummary {
    /// From the scores of each case and the diagonal of its grid in mm.
    fn new(scores: &[(ClassScores, Option<f64>)]) -> Self {
        let missed: Vec<Option<f64>> = scores
            .iter()
            .filter(|(scores, _)| scores.presence == MaskPresence::OnlyReference)
            .map(|(_, diagonal_mm)| *diagonal_mm)
            .collect();
        let overlap = |score: fn(&ClassScores) -> Option<f64>| {
            let values = scores.iter().filter_map(|(scores, _)| scores.or_zero_if_missed(score(scores)));
            ScoreSummary { missed: missed.len(), ..ScoreSummary::from_values(&values.collect::<Vec<_>>()) }
        };
        let distance = |score: fn(&ClassScores) -> Option<f64>| {
            let values: Vec<f64> = scores.iter().filter_map(|(scores, _)| score(scores)).collect();
            let penalties: Option<Vec<f64>> = missed.iter().copied().collect();
            let penalized_mean = penalties
                .filter(|penalties| !penalties.is_empty())
                .and_then(|penalties| average(&[values.clone(), penalties].concat()));
            ScoreSummary { missed: missed.len(), penalized_mean, ..ScoreSummary::from_values(&values) }
        };
        Self {
            dice: overlap(|scores| scores.dice),
            hd95_mm: distance(|scores| scores.hd95_mm),
            nsd: overlap(|scores| scores.nsd),
            assd_mm: distance(|scores| scores.assd_mm),
        }
    }
}

impl ScoreSummary {
    fn from_values(values: &[f64]) -> Self {
        let mean = average(values);
        let squares =
            mean.map(|mean| values.iter().map(|value| (value - mean).powi(2)).collect::<Vec<f64>>());
        let std = squares.and_then(|squares| average(&squares)).map(f64::sqrt);
        let interval = Bootstrap::with_seed(BOOTSTRAP_SEED).mean(values).filter(|_| values.len() > 1);
        let ci95 = interval.map(|interval| [interval.low, interval.high]);
        Self { mean, std, ci95, cases: values.len(), ..Self::default() }
    }
}

fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
