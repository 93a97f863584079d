//! Figures of the service for Prometheus.

use std::{sync::Arc, time::Duration};

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
    Result,
    queue::{JobState, RuleState},
};

/// Requests and jobs that were counted. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    jobs: Family<JobLabels, Counter>,
    seconds: Family<ModelLabels, Histogram, fn() -> Histogram>,
    requests: Family<RequestLabels, Counter>,
    queue: Family<StateLabels, Gauge>,
    rule_runs: Family<StateLabels, Gauge>,
    polls: Family<OutcomeLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    model: String,
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    status: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: String,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (jobs, requests, queue) = (Family::default(), Family::default(), Family::default());
        let (rule_runs, polls) = (Family::default(), Family::default());
        // From a tenth of a second to an hour.
        let seconds = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.1, 2.0, 16))) as fn() -> Histogram,
        );
        let mut registry = Registry::with_prefix("bipvl");
        registry.register("jobs", "Jobs that ended", jobs.clone());
        registry.register_with_unit("job_duration", "Time of a job", Unit::Seconds, seconds.clone());
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register("jobs_stored", "Jobs in the database", queue.clone());
        registry.register("rule_runs_stored", "What rules did, in the database", rule_runs.clone());
        registry.register("archive_polls", "How often the archive was asked for new studies", polls.clone());
        Self { registry: Arc::new(registry), jobs, seconds, requests, queue, rule_runs, polls }
    }

    pub(crate) fn job_ended(&self, model: &str, state: JobState, time: Duration) {
        let model = model.to_owned();
        self.jobs.get_or_create(&JobLabels { model: model.clone(), state: state.name().to_owned() }).inc();
        self.seconds.get_or_create(&ModelLabels { model }).observe(time.as_secs_f64());
    }

    pub(crate) fn request(&self, method: &str, status: u16) {
        // Clients invent methods, and each label is kept.
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].contains(&method);
        let method = if known { method } else { "other" }.to_owned();
        let labels = RequestLabels { method, status: status.into() };
        self.requests.get_or_create(&labels).inc();
    }

    /// The archive was asked for new studies.
    pub(crate) fn archive_asked<T>(&self, looked: &Result<T>) {
        let outcome = if looked.is_ok() { "answered" } else { "failed" }.to_owned();
        self.polls.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// All figures as text, with the present number of jobs and runs of rules by state.
    pub(crate) fn text(&self, counts: &[(JobState, i64)], rule_runs: &[(RuleState, i64)]) -> String {
        for (state, count) in rule_runs {
            self.rule_runs.get_or_create(&StateLabels { state: state.name().to_owned() }).set(*count);
        }
        for (state, count) in counts {
            self.queue.get_or_create(&StateLabels { state: state.name().to_owned() }).set(*count);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("text can be written to memory");
        text
    }
}
