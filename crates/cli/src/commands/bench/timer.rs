//! Times repeated iterations of a workload and records peak memory.

use std::time::Instant;

use anyhow::Result;

use super::workload::Workload;
use crate::process_memory::{peak_mib, reset_peak};

/// No further iteration starts if all would take longer than this.
const BUDGET_SECONDS: f64 = 60.0;

/// Measured times and memory.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    /// One value per iteration, at least one.
    pub(super) seconds: Vec<f64>,
    /// Peak resident memory, where the system reports it.
    pub(super) peak_mib: Option<u64>,
}

/// Runs a workload up to `repeat` times, after a warm-up if it needs one.
pub(super) fn time(workload: &mut dyn Workload, repeat: u32) -> Result<Timing> {
    reset_peak();
    if workload.needs_warm_up() {
        workload.run()?;
    }
    let mut seconds = vec![time_once(workload)?];
    while seconds.len() < repeat as usize {
        let spent: f64 = seconds[1..].iter().sum();
        if spent + seconds[seconds.len() - 1] > BUDGET_SECONDS {
            break;
        }
        seconds.push(time_once(workload)?);
    }
    Ok(Timing { seconds, peak_mib: peak_mib() })
}

fn time_once(workload: &mut dyn Workload) -> Result<f64> {
    let start = Instant::now();
    workload.run()?;
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Counter {
        runs: usize,
        skips_warm_up: bool,
    }

    impl Workload for Counter {
        fn run(&mut self) -> Result<()> {
            self.runs += 1;
            Ok(())
        }

        fn save(&self, _: &Path) -> Result<()> {
            Ok(())
        }

        fn needs_warm_up(&self) -> bool {
            !self.skips_warm_up
        }
    }

    #[test]
    fn the_warm_up_is_not_timed() {
        let mut workload = Counter::default();
        assert_eq!(time(&mut workload, 4).unwrap().seconds.len(), 4);
        assert_eq!(workload.runs, 5);
        let mut workload = Counter { skips_warm_up: true, ..Counter::default() };
        assert_eq!(time(&mut workload, 1).unwrap().seconds.len(), 1);
        assert_eq!(workload.runs, 1);
    }
}
