//! What one measure gave, for machines and as a row of a table.

use serde::{Deserialize, Serialize};

use super::{clock::Timing, measure::Measure};

/// What one measure gave.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Outcome {
    measure: String,
    /// Every repetition, in order.
    seconds: Vec<f64>,
    median_seconds: f64,
    least_seconds: f64,
    largest_seconds: f64,
    /// Most resident memory; absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_mib: Option<u64>,
    threads: usize,
    /// Billions of multiplications and additions of one repetition, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gflop: Option<f64>,
    /// Whether the sizes were small ones, whose times say nothing.
    quick: bool,
}

impl Outcome {
    pub(super) fn new(measure: Measure, timing: Timing, gflop: Option<f64>, quick: bool) -> Self {
        let mut sorted = timing.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            measure: measure.to_string(),
            median_seconds: median(sorted.clone()).expect("a measure is repeated"),
            least_seconds: sorted[0],
            largest_seconds: sorted[sorted.len() - 1],
            seconds: timing.seconds,
            peak_mib: timing.peak_mib,
            threads: rayon::current_num_threads(),
            gflop,
            quick,
        }
    }

    /// What stands over the rows.
    pub(super) fn header() -> String {
        cells(
            ["measure", "median s", "least", "largest", "GFLOP/s", "peak MiB", "threads"].map(str::to_owned),
        )
    }

    /// One line of the table.
    pub(super) fn row(&self) -> String {
        let dash = || "–".to_owned();
        let rate = self.gflop.map_or_else(dash, |gflop| format!("{:.0}", gflop / self.median_seconds));
        let peak = self.peak_mib.map_or_else(dash, |mib| mib.to_string());
        let [median, least, largest] =
            [self.median_seconds, self.least_seconds, self.largest_seconds].map(|s| format!("{s:.3}"));
        cells([self.measure.clone(), median, least, largest, rate, peak, self.threads.to_string()])
    }
}

/// The first column to the left, numbers to the right.
fn cells([name, numbers @ ..]: [String; 7]) -> String {
    let numbers = numbers.map(|number| format!("{number:>9}"));
    format!("{name:<18} {}", numbers.join(" "))
}

/// The value in the middle, or between the two that are; nothing of no values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(vec![2.0]), Some(2.0));
        assert_eq!(median(vec![1.0, 2.0]), Some(1.5));
        assert_eq!(median(vec![1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }
}
