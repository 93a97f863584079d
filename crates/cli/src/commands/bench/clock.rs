//! Repetitions of one operation: how long each took, and the most memory that was resident meanwhile.

use std::{fs, time::Instant};

use anyhow::Result;

use super::Work;

/// Repetitions after the first one end when they would take longer than this together.
const BUDGET_SECONDS: f64 = 60.0;

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    /// One value per repetition, never none.
    pub(super) seconds: Vec<f64>,
    /// Unknown where the system does not tell.
    pub(super) peak_mib: Option<u64>,
}

/// Runs an operation once for warmth, if it has any, and then up to `repeat` times.
pub(super) fn time(work: &mut dyn Work, repeat: u32) -> Result<Timing> {
    forget_peak();
    if work.warms_up() {
        work.run()?;
    }
    let mut seconds = vec![once(work)?];
    while seconds.len() < repeat as usize {
        let spent: f64 = seconds[1..].iter().sum();
        if spent + seconds[seconds.len() - 1] > BUDGET_SECONDS {
            break;
        }
        seconds.push(once(work)?);
    }
    Ok(Timing { seconds, peak_mib: peak_mib() })
}

fn once(work: &mut dyn Work) -> Result<f64> {
    let began = Instant::now();
    work.run()?;
    Ok(began.elapsed().as_secs_f64())
}

/// Lets the peak begin again at what is resident now, so that preparations do not count.
fn forget_peak() {
    // Where the system cannot do so, the peak is that of the whole process, which is more.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Most memory that was resident so far; unknown where the system does not tell.
pub(crate) fn peak_mib() -> Option<u64> {
    of_status("VmHWM:")
}

/// Memory that is resident now and only shows what is in files; unknown where the system does not tell.
pub(crate) fn mapped_mib() -> Option<u64> {
    of_status("RssFile:")
}

fn of_status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[derive(Default)]
    struct Count {
        runs: usize,
        is_cold: bool,
    }

    impl Work for Count {
        fn run(&mut self) -> Result<()> {
            self.runs += 1;
            Ok(())
        }

        fn save(&self, _: &Path) -> Result<()> {
            Ok(())
        }

        fn warms_up(&self) -> bool {
            !self.is_cold
        }
    }

    #[test]
    fn the_first_run_is_for_warmth_and_is_not_counted() {
        let mut work = Count::default();
        assert_eq!(time(&mut work, 4).unwrap().seconds.len(), 4);
        assert_eq!(work.runs, 5);
        let mut work = Count { is_cold: true, ..Count::default() };
        assert_eq!(time(&mut work, 1).unwrap().seconds.len(), 1);
        assert_eq!(work.runs, 1);
    }
}
