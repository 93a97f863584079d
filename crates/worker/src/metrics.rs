//! Figures of a worker for Prometheus.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    connection::LinkState,
    decision::{Decision, Outcome},
};

/// Studies that a worker has had. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    studies: Family<StudyLabels, Counter>,
    seconds: Family<ModelLabels, Histogram, fn() -> Histogram>,
    redeliveries: Counter,
    running: Gauge,
    connected: Gauge,
    connections: Counter<u64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StudyLabels {
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

/// How a delivery ended, as it is counted.
pub(crate) fn outcome_name(outcome: &Outcome, decision: &Decision) -> &'static str {
    match (decision, outcome) {
        (Decision::Acknowledge, Outcome::WasDone) => "already_done",
        (Decision::Acknowledge, _) => "done",
        (Decision::Retry(_), _) => "retried",
        (Decision::GiveBack | Decision::Resubmit, _) => "given_back",
        (Decision::Bury(_), _) => "dead",
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (studies, redeliveries) = (Family::default(), Counter::default());
        let (running, connected, connections) = (Gauge::default(), Gauge::default(), Counter::default());
        // From a hundredth of a second to an hour and a half.
        let seconds = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.01, 2.0, 20))) as fn() -> Histogram,
        );
        let mut registry = Registry::with_prefix("bipvl_worker");
        registry.register(
            "studies",
            "Studies that this worker was given, by what became of them",
            studies.clone(),
        );
        registry.register_with_unit(
            "study_duration",
            "Time of a study that was done",
            Unit::Seconds,
            seconds.clone(),
        );
        registry.register(
            "redeliveries",
            "Studies that another worker, or this one, had before",
            redeliveries.clone(),
        );
        registry.register("running", "Studies that run now", running.clone());
        registry.register("connected", "Whether NATS can be reached", connected.clone());
        registry.register("connections", "How often NATS was found", connections.clone());
        Self { registry: Arc::new(registry), studies, seconds, redeliveries, running, connected, connections }
    }

    pub(crate) fn began(&self, delivery: u64) {
        self.running.inc();
        if delivery > 1 {
            self.redeliveries.inc();
        }
    }

    pub(crate) fn ended(&self, model: &str, outcome: &Outcome, decision: &Decision, time: Duration) {
        self.running.dec();
        let model = model.to_owned();
        let labels = StudyLabels { model: model.clone(), outcome: outcome_name(outcome, decision) };
        self.studies.get_or_create(&labels).inc();
        if *outcome == Outcome::Done {
            self.seconds.get_or_create(&ModelLabels { model }).observe(time.as_secs_f64());
        }
    }

    /// All figures as text.
    pub(crate) fn text(&self, link: LinkState) -> String {
        self.connected.set(i64::from(link.is_connected));
        self.connections.inner().store(link.connections, std::sync::atomic::Ordering::Relaxed);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("text can be written to memory");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Failure;

    #[test]
    fn deliveries_are_counted_by_what_became_of_them() {
        let metrics = Metrics::new();
        let failed = Outcome::Failed(Failure::Transient("disk full".to_owned()));
        for (delivery, outcome, decision) in [
            (1, Outcome::Done, Decision::Acknowledge),
            (2, Outcome::WasDone, Decision::Acknowledge),
            (1, failed.clone(), Decision::Retry(Duration::ZERO)),
            (3, failed, Decision::Bury("disk full".to_owned())),
        ] {
            metrics.began(delivery);
            metrics.ended("abdomen", &outcome, &decision, Duration::from_millis(30));
        }
        let text = metrics.text(LinkState { is_connected: true, connections: 2 });
        for line in [
            "bipvl_worker_studies_total{model=\"abdomen\",outcome=\"done\"} 1",
            "bipvl_worker_studies_total{model=\"abdomen\",outcome=\"already_done\"} 1",
            "bipvl_worker_studies_total{model=\"abdomen\",outcome=\"retried\"} 1",
            "bipvl_worker_studies_total{model=\"abdomen\",outcome=\"dead\"} 1",
            "bipvl_worker_study_duration_seconds_count{model=\"abdomen\"} 1",
            "bipvl_worker_study_duration_seconds_bucket{le=\"0.04\",model=\"abdomen\"} 1",
            "bipvl_worker_redeliveries_total 2",
            "bipvl_worker_running 0",
            "bipvl_worker_connected 1",
            "bipvl_worker_connections_total 2",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
