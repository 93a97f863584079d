//! Where a queue stands.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::Serialize;

use crate::{DeadLetter, Queue, Result, names, queue::request_error};

/// Where a queue stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// The queue.
    pub queue: String,
    /// Studies that the queue holds at most; `None` for any number.
    pub max_studies: Option<u64>,
    /// Studies that wait or run, by model.
    pub models: Vec<ModelStatus>,
    /// Studies that were given up.
    pub dead: Vec<DeadLetter>,
}

/// Studies of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelStatus {
    /// The model.
    pub model: String,
    /// Studies that no worker has.
    pub waiting: u64,
    /// Studies that a worker has, or that wait for their next attempt.
    pub running: u64,
    /// Workers that wait for a study.
    pub idle_workers: u64,
    /// How often a study was given to a worker, ever.
    pub deliveries: u64,
    /// Whether a worker of this model has ever asked for a study.
    pub is_served: bool,
}

impl QueueStatus {
    /// Studies that wait or run.
    pub fn unfinished(&self) -> u64 {
        self.models.iter().map(|model| model.waiting + model.running).sum()
    }
}

impl Queue {
    /// Whether a worker has ever asked for studies of a model.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn is_served(&self, model: &str) -> Result<bool> {
        let mut consumers = self.studies.consumer_names();
        let failed = |reason| request_error(&self.name, "it cannot be read", &reason);
        while let Some(name) = consumers.try_next().await.map_err(failed)? {
            if name == names::consumer(model) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where it stands.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn status(&self) -> Result<QueueStatus> {
        let failed = |reason: &dyn std::error::Error| request_error(&self.name, "it cannot be read", reason);
        let subjects = names::all_studies(&self.name);
        let mut subjects =
            self.studies.info_with_subjects(subjects).await.map_err(|reason| failed(&reason))?;
        let max_studies = u64::try_from(subjects.info.config.max_messages).ok().filter(|count| *count > 0);
        let mut models: BTreeMap<String, ModelStatus> = BTreeMap::new();
        while let Some((subject, count)) = subjects.try_next().await.map_err(|reason| failed(&reason))? {
            entry(&mut models, &subject).waiting = count as u64;
        }
        let mut consumers = self.studies.consumers();
        while let Some(consumer) = consumers.try_next().await.map_err(|reason| failed(&reason))? {
            let status = entry(&mut models, &consumer.name);
            status.running = consumer.num_ack_pending as u64;
            status.waiting = status.waiting.saturating_sub(status.running);
            status.idle_workers = consumer.num_waiting as u64;
            status.deliveries = consumer.delivered.consumer_sequence;
            status.is_served = true;
        }
        let models = models.into_values().collect();
        Ok(QueueStatus { queue: self.name.clone(), max_studies, models, dead: self.dead_letters().await? })
    }
}

/// The status of the model of a subject or consumer.
fn entry<'a>(models: &'a mut BTreeMap<String, ModelStatus>, name: &str) -> &'a mut ModelStatus {
    let model = names::model_of(name);
    models.entry(model.clone()).or_insert_with(|| ModelStatus { model, ..ModelStatus::default() })
}
