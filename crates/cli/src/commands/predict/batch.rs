//! Scans one after another: one that fails is reported, and the others go on.

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use super::outputs::Job;
use crate::{interrupt, progress};

/// Calls `segment` for every scan.
///
/// # Errors
///
/// When a scan failed, or a signal arrived.
pub(super) fn segment_all(jobs: &[Job], segment: impl Fn(&Job, &ProgressBar) -> Result<()>) -> Result<()> {
    let bar = progress::bar("segmenting", jobs.len());
    let mut failed = 0;
    for job in jobs {
        let id = &job.scan.id;
        if interrupt::is_requested() {
            bail!("interrupted before {id}; --skip-existing continues");
        }
        match segment(job, &bar) {
            Err(_) if interrupt::is_requested() => bail!("interrupted in {id}; --skip-existing continues"),
            Err(error) => {
                failed += 1;
                bar.suspend(|| tracing::error!("{id}: {error:#}"));
            }
            Ok(()) => {}
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{failed} of {} scans could not be segmented", jobs.len());
    }
    Ok(())
}
