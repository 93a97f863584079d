//! Confidence intervals of a mean over cases: the percentile bootstrap.
//!
//! Cases are resampled with replacement; the interval is the central part of the means of the resamples. Two methods are
//! compared by the paired differences of their scores, so case difficulty cancels out (Efron and Tibshirani, *An
//! Introduction to the Bootstrap*, 1993, chapter 13).
//!
//! ```
//! use bipvl_metrics::bootstrap::Bootstrap;
//!
//! let (with_text, without) = ([0.90, 0.80, 0.85], [0.88, 0.75, 0.81]);
//! let gain = Bootstrap::with_seed(7).paired_mean_difference(&with_text, &without).expect("three cases");
//! assert!((gain.mean - 0.11 / 3.0).abs() < 1e-12);
//! assert!(gain.low >= 0.02 - 1e-12 && gain.high <= 0.05 + 1e-12 && gain.excludes_zero());
//! ```

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Configuration of the bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Confidence level, between 0 and 1 (exclusive).
    pub confidence: f64,
    /// Random seed. Equal seeds resample the same cases in every comparison of equally many cases.
    pub seed: u64,
}

/// A mean over cases and its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Mean of the original cases.
    pub mean: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Number of cases or pairs.
    pub cases: usize,
}

impl Bootstrap {
    /// 10,000 resamples, 95 % confidence.
    pub fn with_seed(seed: u64) -> Self {
        Self { resamples: 10_000, confidence: 0.95, seed }
    }

    /// Mean of the paired differences `a − b`; `None` without cases.
    ///
    /// # Panics
    ///
    /// If the slices differ in length, `resamples` is 0 or `confidence` is not between 0 and 1.
    pub fn paired_mean_difference(&self, a: &[f64], b: &[f64]) -> Option<Interval> {
        assert_eq!(a.len(), b.len(), "paired scores must have equal lengths");
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        self.mean(&differences)
    }

    /// Mean of `values`, one per case; `None` without cases.
    ///
    /// # Panics
    ///
    /// If `resamples` is 0 or `confidence` is not between 0 and 1.
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        assert!(
            self.resamples > 0 && self.confidence > 0.0 && self.confidence < 1.0,
            "invalid bootstrap configuration: {self:?}"
        );
        if values.is_empty() {
            return None;
        }
        let cases = values.len();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut resampled_mean =
            || (0..cases).map(|_| values[random.random_range(0..cases)]).sum::<f64>() / cases as f64;
        let mut means: Vec<f64> = (0..self.resamples).map(|_| resampled_mean()).collect();
        means.sort_by(f64::total_cmp);
        // Symmetric: as many resamples are below the interval as above, so a − b and b − a give mirrored intervals.
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
    /// Whether 0 is outside the interval.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}
