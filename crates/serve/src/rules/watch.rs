//! Looks for new series again and again.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{Days, Utc};
use tokio::task::spawn_blocking;

use super::{Rules, step};
use crate::{
    Result,
    archive::{Archive, ArchiveSeries, ArchiveStudy},
    engine::Engine,
    queue::HEARTBEAT,
};

/// How often the runs that have begun are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What follows the rules.
pub(super) struct Watcher {
    pub(super) engine: Arc<Engine>,
    pub(super) archive: Archive,
    pub(super) rules: Rules,
    pub(super) poll: Duration,
    /// The studies of the window, as they were when they were last looked at.
    seen: HashMap<String, Seen>,
}

/// What a study had: what still grows is left alone.
#[derive(Debug, Default)]
struct Seen {
    instances: Option<u64>,
    /// Instances of each series.
    series: HashMap<String, Option<u64>>,
    /// Whether no series had grown since the look before.
    is_settled: bool,
}

/// Follows the rules until it is aborted. Of several servers with one database, one does.
pub(crate) async fn watch(engine: Arc<Engine>, archive: Archive, rules: Rules, poll: Duration) {
    let is_ours = Arc::new(AtomicBool::new(false));
    let hold = keep_hold(engine.clone(), is_ours.clone());
    let mut watcher = Watcher { engine, archive, rules, poll, seen: HashMap::new() };
    tokio::select! {
        () = hold => (),
        () = watcher.follow(&is_ours) => (),
    }
}

async fn keep_hold(engine: Arc<Engine>, is_ours: Arc<AtomicBool>) {
    loop {
        match engine.queue.hold_rules().await {
            Ok(is_held) => is_ours.store(is_held, Ordering::SeqCst),
            Err(error) => tracing::error!("rules: {error}"),
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

impl Watcher {
    async fn follow(&mut self, is_ours: &AtomicBool) {
        let mut last: Option<Instant> = None;
        let mut was_refused = false;
        loop {
            if is_ours.load(Ordering::SeqCst) {
                if last.is_none_or(|last| last.elapsed() >= self.poll) {
                    last = Some(Instant::now());
                    let looked = self.look().await;
                    self.engine.metrics.archive_asked(&looked);
                    match &looked {
                        Err(error) if !was_refused => tracing::warn!("rules: {error}"),
                        Ok(()) if was_refused => tracing::info!("rules: the archive answers again"),
                        _ => {}
                    }
                    was_refused = looked.is_err();
                }
                if let Err(error) = step::step_all(self).await {
                    tracing::error!("rules: {error}");
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Notes the series that rules are for.
    async fn look(&mut self) -> Result<()> {
        let today = Utc::now().date_naive();
        let from = today.checked_sub_days(Days::new(self.rules.days.into())).unwrap_or(today);
        let archive = self.archive.clone();
        let studies = spawn_blocking(move || archive.studies_since(from)).await??;
        let mut seen = HashMap::with_capacity(studies.len());
        for study in studies {
            let last = self.seen.remove(&study.uid).unwrap_or_default();
            let is_known = last.is_settled && study.instances.is_some() && study.instances == last.instances;
            let now = if is_known { last } else { self.look_at(&study, &last).await? };
            seen.insert(study.uid, now);
        }
        self.seen = seen;
        Ok(())
    }

    async fn look_at(&self, study: &ArchiveStudy, last: &Seen) -> Result<Seen> {
        let (archive, uid) = (self.archive.clone(), study.uid.clone());
        let list = spawn_blocking(move || archive.series(&uid)).await??;
        let has_grown = |series: &&ArchiveSeries| last.series.get(&series.uid) != Some(&series.instances);
        for series in list.iter().filter(|series| !has_grown(series)) {
            for rule in self.rules.rules.iter().filter(|rule| rule.conditions.hold(study, series)) {
                if self.engine.queue.add_rule_run(&series.uid, &rule.name, &study.uid).await? {
                    tracing::info!("rule {}: a new series", rule.name);
                }
            }
        }
        Ok(Seen {
            instances: study.instances,
            is_settled: !list.iter().any(|series| has_grown(&series)),
            series: list.into_iter().map(|series| (series.uid, series.instances)).collect(),
        })
    }
}
