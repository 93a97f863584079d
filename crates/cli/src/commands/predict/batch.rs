//! Scans one after another: one that fails is reported, and the others go on.

use std::time::Instant;

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use super::{
    outputs::{Job, Plan},
    record::Record,
};
use crate::{args::PredictArgs, interrupt, ledger::StudyState, progress};

/// Calls `segment` for every scan; what became of each scan of a shard is recorded.
///
/// # Errors
///
/// When a scan failed, a signal arrived, or the record cannot be written.
pub(super) fn segment_all(
    args: &PredictArgs,
    plan: &Plan,
    segment: impl Fn(&Job, &ProgressBar) -> Result<()>,
) -> Result<()> {
    let mut record = Record::open(args, plan)?;
    let continued =
        if plan.shard.is_some() { "the same command continues" } else { "--skip-existing continues" };
    let bar = progress::bar("segmenting", plan.jobs.len());
    let mut failed = 0;
    for job in &plan.jobs {
        let id = &job.scan.id;
        if interrupt::is_requested() {
            bail!("interrupted before {id}; {continued}");
        }
        let began = Instant::now();
        let result = segment(job, &bar);
        let seconds = Some(began.elapsed().as_secs_f64());
        match result {
            Err(_) if interrupt::is_requested() => bail!("interrupted in {id}; {continued}"),
            Err(error) => {
                failed += 1;
                bar.suspend(|| tracing::error!("{id}: {error:#}"));
                record.write(job, StudyState::Failed, seconds, Some(format!("{error:#}")))?;
            }
            Ok(()) => record.write(job, StudyState::Done, seconds, None)?,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{failed} of {} scans could not be segmented", plan.jobs.len());
    }
    Ok(())
}
