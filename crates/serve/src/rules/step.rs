//! The steps of a run: fetch, segment, send.

use std::time::Duration;

use super::{Rule, watch::Watcher};
use crate::{
    Error, Result, archive,
    beside::beside,
    queue::{JobRequest, JobState, RuleRun, RuleState, now},
    without_folders,
};

/// Runs whose jobs may wait at once; more series are not fetched before.
const MAX_AHEAD: usize = 8;
/// How often an archive that does not answer is asked before a run has failed: for most of a day.
const MAX_ATTEMPTS: i64 = 100;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// Takes all open runs as far as they can go now.
pub(super) async fn step_all(watcher: &Watcher) -> Result<()> {
    let queue = &watcher.engine.queue;
    for run in queue.rule_runs_in(RuleState::Segmenting, i64::MAX).await? {
        step(watcher, run).await?;
    }
    let ahead = queue.rule_runs_in(RuleState::Segmenting, MAX_AHEAD as i64).await?.len();
    for run in queue.rule_runs_in(RuleState::Found, (MAX_AHEAD - ahead.min(MAX_AHEAD)) as i64).await? {
        step(watcher, run).await?;
    }
    Ok(())
}

/// Takes one run a step on and stores how that went. Only the database makes this an error.
async fn step(watcher: &Watcher, mut run: RuleRun) -> Result<()> {
    if !is_due(watcher, &run) {
        return Ok(());
    }
    let done = match watcher.rules.find(&run.rule) {
        None => Err(Error::Gone(format!("the file has no rule `{}` any more", run.rule))),
        Some(rule) if run.state == RuleState::Found => fetch(watcher, rule, &mut run).await,
        Some(rule) => send(watcher, rule, &run).await,
    };
    let name = run.rule.clone();
    match done {
        Ok(state) if state == run.state => return Ok(()),
        Ok(state) => {
            tracing::info!("rule {name}: {} (job {})", state.name(), run.job);
            (run.state, run.error, run.attempts) = (state, None, 0);
        }
        Err(error @ (Error::Database(_) | Error::Migration(_))) => return Err(error),
        Err(error) => {
            run.attempts += 1;
            let is_passing = matches!(error, Error::Archive { .. } | Error::Io(_) | Error::Task(_));
            if !is_passing || run.attempts >= MAX_ATTEMPTS {
                run.state = RuleState::Failed;
                tracing::warn!("rule {name}: failed (job {})", run.job);
            }
            tracing::debug!("rule {name}, series {}: {error}", run.series);
            run.error = Some(without_folders(&error.to_string()));
        }
    }
    watcher.engine.queue.update_rule_run(&run).await
}

/// After an attempt that failed, the next comes after a pause that grows.
fn is_due(watcher: &Watcher, run: &RuleRun) -> bool {
    let pause = watcher.poll.saturating_mul(u32::try_from(run.attempts).unwrap_or(u32::MAX)).min(MAX_PAUSE);
    run.attempts == 0 || now() - run.changed_ms >= pause.as_millis() as i64
}

/// Brings the series here and submits its job.
async fn fetch(watcher: &Watcher, rule: &Rule, run: &mut RuleRun) -> Result<RuleState> {
    let engine = &watcher.engine;
    if !run.is_fetched && archive::in_library(engine, &run.series).await?.is_none() {
        // Before it is here: a server that is killed meanwhile would take it for someone else's.
        run.is_fetched = true;
        engine.queue.update_rule_run(run).await?;
    }
    let fetched = archive::fetch(&watcher.archive, engine, &run.series).await?;
    let largest = fetched.scans.iter().max_by_key(|scan| scan.shape[2]);
    let Some(scan) = largest.filter(|scan| scan.shape[2] as u64 >= rule.conditions.min_slices) else {
        return Ok(RuleState::Skipped);
    };
    let request = JobRequest { scan: scan.id.clone(), ..rule.request.clone() };
    engine.queue.submit_as(&run.job, &request).await?;
    engine.announce();
    Ok(RuleState::Segmenting)
}

/// Sends the results of a job that is done.
async fn send(watcher: &Watcher, rule: &Rule, run: &RuleRun) -> Result<RuleState> {
    let engine = &watcher.engine;
    let job = engine.queue.get(&run.job).await?;
    let job = job.ok_or_else(|| Error::Gone("the job was deleted".to_owned()))?;
    match job.state {
        JobState::Queued | JobState::Running => return Ok(RuleState::Segmenting),
        JobState::Failed | JobState::Canceled => {
            return Err(Error::Gone(job.error.unwrap_or_else(|| job.state.name().to_owned())));
        }
        JobState::Done => {}
    }
    let folder = engine.library.results(&job.id);
    let files: Vec<_> = rule.outputs.iter().map(|format| format.path(&folder)).collect();
    if !files.iter().all(|file| file.exists()) {
        return Err(Error::Gone("the result was deleted before it was sent".to_owned()));
    }
    if !files.is_empty() {
        let archive = watcher.archive.clone();
        tokio::task::spawn_blocking(move || archive.store(&files)).await??;
    }
    if !rule.keep_scan && engine.queue.is_fetched_for_rule_alone(&run.series, &run.rule).await? {
        let engine = engine.clone();
        beside(move || {
            let scan = engine.library.find(&job.scan)?;
            // Someone may have worked with it meanwhile.
            let scan = scan.filter(|scan| scan.labels.is_empty());
            scan.map_or(Ok(()), |scan| engine.library.delete(&scan))
        })
        .await??;
    }
    Ok(RuleState::Done)
}
