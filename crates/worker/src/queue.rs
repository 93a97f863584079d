//! The queue: two streams on the server, made at the first use.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, Consumer, pull},
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};
use tokio::sync::watch;

use crate::{
    Error, QueueOptions, Result,
    connection::{self, ANSWER, LinkState, with_causes},
    names,
};

/// Of a new queue.
const MAX_STUDIES: u64 = 100_000;
/// Of a new queue; older dead letters make room for newer ones.
const MAX_DEAD_LETTERS: i64 = 100_000;
/// Largest message.
const MAX_BYTES: i32 = 256 << 10;
/// How long the server knows the studies that it was given.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// How long a worker of a new queue may say nothing of its study.
const ACK_WAIT: Duration = Duration::from_mins(1);
/// Workers of one model, busy or waiting.
const MAX_WORKERS: i64 = 4096;

/// A work queue of studies.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) studies: Stream,
    pub(crate) dead: Stream,
    pub(crate) link: watch::Receiver<LinkState>,
}

impl Queue {
    /// Connects to the server, and makes the queue if it has none of this name.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, has no `JetStream`, or refuses.
    pub async fn open(options: &QueueOptions) -> Result<Self> {
        let name = options.name.clone();
        if !names::is_queue_name(&name) {
            return Err(Error::Name(name));
        }
        let (client, link) = connection::connect(options).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let asking = |action| move |reason| request_error(&options.name, action, &reason);
        let (studies, dead) = (studies_config(options), dead_config(&name));
        let dead = context
            .get_or_create_stream(dead)
            .await
            .map_err(|reason| asking("the stream of dead letters cannot be opened")(reason))?;
        let opened = context
            .get_or_create_stream(studies)
            .await
            .map_err(|reason| asking("the stream of studies cannot be opened")(reason))?;
        let queue = Self { name, client, context, studies: opened, dead, link };
        queue.resize(options.max_studies).await?;
        Ok(queue)
    }

    /// Changes how many studies the queue holds.
    async fn resize(&self, max_studies: Option<u64>) -> Result<()> {
        let config = &self.studies.cached_info().config;
        let Some(wanted) = max_studies.map(|count| count as i64) else { return Ok(()) };
        if config.max_messages == wanted {
            return Ok(());
        }
        let config = Config { max_messages: wanted, ..config.clone() };
        let changed = self.context.update_stream(config).await;
        changed.map(drop).map_err(|reason| request_error(&self.name, "its limit cannot be changed", &reason))
    }

    /// The consumer of a model, which all its workers share; `ack_wait` changes that of all of them.
    pub(crate) async fn consumer(
        &self,
        model: &str,
        ack_wait: Option<Duration>,
    ) -> Result<Consumer<pull::Config>> {
        let name = names::consumer(model);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: names::study_subject(&self.name, model),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ack_wait.unwrap_or(ACK_WAIT),
            // Workers count, so that no study is left in the queue that nobody gets any more.
            max_deliver: -1,
            max_ack_pending: MAX_WORKERS,
            max_waiting: MAX_WORKERS,
            ..pull::Config::default()
        };
        let asking = |reason| request_error(&self.name, "its consumer cannot be opened", &reason);
        let found = self.studies.get_or_create_consumer(&name, config.clone()).await.map_err(asking)?;
        let is_as_wanted = ack_wait.is_none_or(|wanted| found.cached_info().config.ack_wait == wanted);
        if is_as_wanted {
            return Ok(found);
        }
        self.studies.create_consumer(config).await.map_err(asking)
    }
}

fn studies_config(options: &QueueOptions) -> Config {
    Config {
        name: options.name.clone(),
        subjects: vec![names::all_studies(&options.name)],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        max_messages: options.max_studies.unwrap_or(MAX_STUDIES) as i64,
        max_message_size: MAX_BYTES,
        discard: DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        description: Some("studies for bipvl worker".to_owned()),
        ..Config::default()
    }
}

fn dead_config(queue: &str) -> Config {
    Config {
        name: names::dead_stream(queue),
        subjects: vec![names::all_dead(queue)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_messages: MAX_DEAD_LETTERS,
        // A study that dies again replaces its letter.
        max_messages_per_subject: 1,
        discard: DiscardPolicy::Old,
        description: Some("studies that bipvl worker gave up".to_owned()),
        ..Config::default()
    }
}

/// What the server says to a request.
pub(crate) fn request_error(queue: &str, action: &'static str, reason: &dyn std::error::Error) -> Error {
    Error::Request { queue: queue.to_owned(), action, reason: with_causes(reason) }
}
