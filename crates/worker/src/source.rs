//! Asks for the next study.

use std::time::{Duration, Instant};

use async_nats::jetstream::{
    Message,
    consumer::{Consumer, pull},
};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::{Queue, Result, connection::LinkState, queue::request_error};

/// How long the queue of one of several models is asked before the next.
const TURN: Duration = Duration::from_millis(100);
/// How much longer than asked for the server may take to say that there is nothing.
const GRACE: Duration = Duration::from_secs(2);

/// Between two looks for forgotten studies of a worker that waits.
const LOOK: Duration = Duration::from_secs(10);

/// When to look for forgotten studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Once after each connection: the server may have been started anew.
    Connected,
    /// Once in a while.
    Idle,
    /// Once more.
    Leaving,
}

/// The consumers of the models of a worker, asked in turn.
pub(crate) struct Source {
    consumers: Vec<Consumer<pull::Config>>,
    next: usize,
    /// When it was last looked for forgotten studies, and in which connection.
    looked: Option<(Instant, u64)>,
    link: watch::Receiver<LinkState>,
    queue: String,
}

/// What came of asking.
pub(crate) enum Pulled {
    Message(Box<Message>),
    /// The server has nothing.
    Empty,
    /// The question or its answer was lost with the link.
    Lost,
}

impl Source {
    pub(crate) async fn open(queue: &Queue, models: &[String], ack_wait: Option<Duration>) -> Result<Self> {
        let mut consumers = Vec::new();
        for model in models {
            consumers.push(queue.consumer(model, ack_wait).await?);
        }
        Ok(Self { consumers, next: 0, looked: None, link: queue.link.clone(), queue: queue.name.clone() })
    }

    /// How long the worker may say nothing of its study: the least of its models.
    pub(crate) fn ack_wait(&self) -> Duration {
        let of = |consumer: &Consumer<pull::Config>| consumer.cached_info().config.ack_wait;
        self.consumers.iter().map(of).min().unwrap_or_default()
    }

    /// Looks for studies that the server has forgotten, if it is time; says how many there were.
    pub(crate) async fn remember(&mut self, queue: &Queue, look: Look) -> Result<usize> {
        let LinkState { is_connected, connections } = *self.link.borrow();
        let is_due = match look {
            Look::Connected => self.looked.is_none_or(|(_, before)| before != connections),
            Look::Idle => self.looked.is_none_or(|(time, _)| time.elapsed() >= LOOK),
            Look::Leaving => true,
        };
        if !is_due || !is_connected {
            return Ok(0);
        }
        let mut count = 0;
        for consumer in &self.consumers {
            count += queue.remember(consumer).await?;
        }
        self.looked = Some((Instant::now(), connections));
        Ok(count)
    }

    /// Asks for one study, for `patience` at most.
    pub(crate) async fn pull(&mut self, patience: Duration) -> Result<Pulled> {
        let turn = if self.consumers.len() == 1 { patience } else { TURN };
        for _ in 0..self.consumers.len() {
            let consumer = &self.consumers[self.next];
            self.next = (self.next + 1) % self.consumers.len();
            self.link.mark_unchanged();
            let connections = self.link.borrow().connections;
            let is_found_again = self.link.wait_for(|link| link.connections > connections);
            let pulled = tokio::select! {
                pulled = pull(consumer, turn) => pulled,
                _ = is_found_again => Ok(Pulled::Lost),
            };
            match pulled.map_err(|reason| request_error(&self.queue, "no study can be taken", &*reason))? {
                Pulled::Empty => {}
                found => return Ok(found),
            }
        }
        Ok(Pulled::Empty)
    }
}

/// One message: with a study in hand, no other waits here while its time runs.
async fn pull(consumer: &Consumer<pull::Config>, patience: Duration) -> Result<Pulled, async_nats::Error> {
    let asked = consumer.batch().max_messages(1).expires(patience).messages();
    let mut batch = asked.await?;
    match tokio::time::timeout(patience + GRACE, batch.next()).await {
        Ok(Some(Ok(message))) => Ok(Pulled::Message(Box::new(message))),
        Ok(Some(Err(reason))) => Err(reason),
        Ok(None) => Ok(Pulled::Empty),
        Err(_) => Ok(Pulled::Lost),
    }
}
