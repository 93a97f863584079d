//! How sure is a mean over cases: the paired percentile bootstrap.
//!
//! Cases are drawn anew, as many as there are and each as often as chance has it; the mean of each such draw is
//! one that another set of cases might have given. The interval holds the middle share of these means. Pairs
//! stay together, so that what makes a case hard for both methods cancels out (Efron and Tibshirani, *An
//! Introduction to the Bootstrap*, 1993, chapter 13).
//!
//! ```
//! use bipvl_metrics::bootstrap::Bootstrap;
//!
//! let (with_text, without) = ([0.90, 0.80, 0.85], [0.88, 0.75, 0.81]);
//! let gain = Bootstrap::with_seed(7).mean_difference(&with_text, &without).expect("there are cases");
//! assert!((gain.mean - 0.11 / 3.0).abs() < 1e-12);
//! assert!(gain.low >= 0.02 - 1e-12 && gain.high <= 0.05 + 1e-12 && gain.excludes_zero());
//! ```

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How the cases are drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// How often; the ends of an interval are means of such draws.
    pub resamples: usize,
    /// The share of the draws inside the interval, above 0 and below 1.
    pub confidence: f64,
    /// What the draws follow from. The same seed draws the same cases for every comparison of as many cases.
    pub seed: u64,
}

/// A mean over cases and where it may lie for other cases of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The mean over the cases as they are.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// Cases, or pairs of them.
    pub cases: usize,
}

impl Bootstrap {
    /// 10,000 draws and 95 % of them.
    pub fn with_seed(seed: u64) -> Self {
        Self { resamples: 10_000, confidence: 0.95, seed }
    }

    /// The mean of `one − other`, case by case; `None` when there are none.
    ///
    /// # Panics
    ///
    /// When the slices differ in length, or the settings have no draws or a confidence that is no share.
    pub fn mean_difference(&self, one: &[f64], other: &[f64]) -> Option<Interval> {
        assert_eq!(one.len(), other.len(), "pairs have two members");
        let differences: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
        self.mean(&differences)
    }

    /// The mean of `values`, one for each case; `None` when there are none.
    ///
    /// # Panics
    ///
    /// When the settings have no draws or a confidence that is no share.
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        assert!(
            self.resamples > 0 && self.confidence > 0.0 && self.confidence < 1.0,
            "{self:?} draws nothing"
        );
        if values.is_empty() {
            return None;
        }
        let cases = values.len();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw =
            || (0..cases).map(|_| values[random.random_range(0..cases)]).sum::<f64>() / cases as f64;
        let mut means: Vec<f64> = (0..self.resamples).map(|_| draw()).collect();
        means.sort_by(f64::total_cmp);
        // As many draws lie below the interval as above it, so that turning the difference around turns the
        // interval around.
        let outside = ((1.0 - self.confidence) / 2.0 * self.resamples as f64).round() as usize;
        let outside = outside.min((self.resamples - 1) / 2);
        Some(Interval {
            mean: values.iter().sum::<f64>() / cases as f64,
            low: means[outside],
            high: means[self.resamples - 1 - outside],
            cases,
        })
    }
}

impl Interval {
    /// Whether chance alone hardly explains the mean: 0 lies outside the interval.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}
