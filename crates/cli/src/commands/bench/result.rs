//! Result of one benchmark, as JSON and as a table row.

use bipvl_metrics::median;
use serde::{Deserialize, Serialize};

use super::{benchmark::Benchmark, timer::Timing};

/// Result of one benchmark.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct BenchmarkResult {
    benchmark: String,
    /// Every iteration, in order.
    seconds: Vec<f64>,
    median_seconds: f64,
    min_seconds: f64,
    max_seconds: f64,
    /// Peak resident memory; absent where the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_mib: Option<u64>,
    threads: usize,
    /// Billions of floating-point operations per iteration, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    gflop: Option<f64>,
    /// Whether sizes were reduced, so that timings are meaningless.
    smoke_test: bool,
}

impl BenchmarkResult {
    pub(super) fn new(benchmark: Benchmark, timing: Timing, gflop: Option<f64>, smoke_test: bool) -> Self {
        let mut sorted = timing.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            benchmark: benchmark.to_string(),
            median_seconds: median(sorted.clone()).expect("there is at least one iteration"),
            min_seconds: sorted[0],
            max_seconds: sorted[sorted.len() - 1],
            seconds: timing.seconds,
            peak_mib: timing.peak_mib,
            threads: rayon::current_num_threads(),
            gflop,
            smoke_test,
        }
    }

    /// Header of the table.
    pub(super) fn header() -> String {
        cells(["benchmark", "median s", "min", "max", "GFLOP/s", "peak MiB", "threads"].map(str::to_owned))
    }

    /// Row of the table.
    pub(super) fn row(&self) -> String {
        let dash = || "–".to_owned();
        let rate = self.gflop.map_or_else(dash, |gflop| format!("{:.0}", gflop / self.median_seconds));
        let peak = self.peak_mib.map_or_else(dash, |mib| mib.to_string());
        let [median, min, max] =
            [self.median_seconds, self.min_seconds, self.max_seconds].map(|s| format!("{s:.3}"));
        cells([self.benchmark.clone(), median, min, max, rate, peak, self.threads.to_string()])
    }
}

/// First column left-aligned, numbers right-aligned.
fn cells([name, numbers @ ..]: [String; 7]) -> String {
    let numbers = numbers.map(|number| format!("{number:>9}"));
    format!("{name:<18} {}", numbers.join(" "))
}
