//! Takes studies, hands them to what segments, and tells the queue.

use std::{
    any::Any,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::Message;
use tokio::runtime::{Builder, Runtime};

use crate::{
    DeadLetter, Error, Job, Queue, QueueOptions, Result, Study,
    decision::{Decision, Outcome, decide},
    exporter,
    metrics::{Metrics, outcome_name},
    settle::{self, Delivery, IsDone},
    source::{Look, Pulled, Source},
};

/// How often a worker that waits looks whether it should leave.
const POLL: Duration = Duration::from_millis(50);
/// How long the server keeps a question that it has no study for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The shortest time after which a queue counts as empty.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// Pause after a refusal of the server.
const PAUSE: Duration = Duration::from_secs(1);
/// Beats within the time that the server waits for one.
const BEATS: u32 = 3;

/// What a worker does with a study.
pub trait Segmenter {
    /// Whether the result of a job is there, whole.
    ///
    /// # Errors
    ///
    /// When that cannot be found out, or there is the result of another job.
    fn is_done(&self, job: &Job) -> Result<bool, Failure>;

    /// Segments the scan and writes the result, whole or not at all. It runs on the thread of [`Worker::run`].
    ///
    /// # Errors
    ///
    /// When there is no result.
    fn segment(&self, job: &Job) -> Result<(), Failure>;
}

/// Why a study has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt would fail like this one: the scan does not exist, cannot be read, or does not fit the model.
    Permanent(String),
    /// Another attempt may succeed: the disk is full, a file server does not answer.
    Transient(String),
    /// The worker was told to stop.
    Interrupted,
}

/// How a worker works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerOptions {
    /// The queue.
    pub queue: QueueOptions,
    /// Names of the models that it has.
    pub models: Vec<String>,
    /// How long the server waits for a sign of life before it gives a study to another worker; `None` for what the queue
    /// has, or 60 s for a new one. All workers of a model share it.
    pub ack_wait: Option<Duration>,
    /// How often a study is given to a worker before it is a dead letter.
    pub max_deliveries: u64,
    /// How long it waits for a study before it leaves; `None` for ever.
    pub max_idle: Option<Duration>,
    /// Where its figures can be asked for.
    pub metrics: Option<SocketAddr>,
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Studies with a result of this worker.
    pub done: u64,
    /// Studies whose result was there.
    pub already_done: u64,
    /// Studies that failed and will be tried again.
    pub retried: u64,
    /// Studies that were given back unfinished.
    pub given_back: u64,
    /// Studies that became dead letters.
    pub dead: u64,
}

/// A worker that is connected.
pub struct Worker {
    runtime: Runtime,
    options: WorkerOptions,
    queue: Queue,
    source: Source,
    metrics: Metrics,
    metrics_address: Option<SocketAddr>,
    summary: Summary,
}

enum Next {
    Message(Box<Message>),
    Empty,
    Nothing,
}

impl Worker {
    /// Connects, and waits for a server that is not there yet. `None` if it was told to stop meanwhile.
    ///
    /// # Errors
    ///
    /// When the address or the name of the queue is none, or figures cannot be offered.
    pub fn start(options: WorkerOptions, stop: &dyn Fn() -> bool) -> Result<Option<Self>> {
        let builder = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = builder.map_err(Error::Runtime)?;
        let Some((queue, source)) = runtime.block_on(open(&options, stop))? else { return Ok(None) };
        let metrics = Metrics::new();
        let start = |address| exporter::start(&runtime, address, metrics.clone(), queue.link.clone());
        let metrics_address = options.metrics.map(start).transpose()?;
        let summary = Summary::default();
        Ok(Some(Self { runtime, options, queue, source, metrics, metrics_address, summary }))
    }

    /// Where its figures can be asked for.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Works until `stop` says so, or the queue has been empty for long enough.
    pub fn run(mut self, segmenter: &dyn Segmenter, stop: &dyn Fn() -> bool) -> Summary {
        let mut idle_since = Instant::now();
        while !stop() {
            self.remember(Look::Connected);
            match self.next(stop) {
                Next::Message(message) => {
                    self.take(*message, segmenter);
                    idle_since = Instant::now();
                }
                Next::Empty if self.options.max_idle.is_some_and(|most| idle_since.elapsed() >= most) => {
                    if self.remember(Look::Leaving) == 0 {
                        break;
                    }
                }
                Next::Empty => drop(self.remember(Look::Idle)),
                Next::Nothing => {}
            }
        }
        self.summary
    }

    /// Looks for studies that the server has forgotten.
    fn remember(&mut self, look: Look) -> usize {
        let remembered = self.runtime.block_on(self.source.remember(&self.queue, look));
        remembered.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            0
        })
    }

    fn next(&mut self, stop: &dyn Fn() -> bool) -> Next {
        let patience = self.options.max_idle.unwrap_or(PATIENCE).clamp(LEAST_PATIENCE, PATIENCE);
        let Self { runtime, source, queue, options, .. } = self;
        runtime.block_on(async {
            let pulled = tokio::select! {
                pulled = source.pull(patience) => pulled,
                () = stopped(stop) => return Next::Nothing,
            };
            match pulled {
                Ok(Pulled::Message(message)) => Next::Message(message),
                Ok(Pulled::Empty) => Next::Empty,
                Ok(Pulled::Lost) => Next::Nothing,
                Err(error) => {
                    tracing::warn!("{error}; trying again");
                    let _ = tokio::time::timeout(PAUSE, stopped(stop)).await;
                    // The consumer may have been deleted.
                    match Source::open(queue, &options.models, None).await {
                        Ok(opened) => *source = opened,
                        Err(error) => tracing::warn!("{error}"),
                    }
                    Next::Nothing
                }
            }
        })
    }

    /// Does a study, or finds out that it cannot be done, and says so.
    fn take(&mut self, message: Message, segmenter: &dyn Segmenter) {
        let delivery = match Delivery::new(message) {
            Ok(delivery) => delivery,
            Err(reason) => return tracing::error!("a message of another kind: {reason}"),
        };
        let began = Instant::now();
        self.metrics.began(delivery.number);
        let job = Study::parse(&delivery.message.payload).map(|study| Job {
            id: study.id(),
            study,
            delivery: delivery.number,
            worker: self.options.queue.client.clone(),
        });
        let id = job.as_ref().map_or(&delivery.id, |job| &job.id).clone();
        let delivery = Arc::new(Delivery { id, ..delivery });
        let outcome = match &job {
            Ok(job) => self.attempt(&delivery, job, segmenter),
            Err(reason) => Outcome::Failed(Failure::Permanent(reason.clone())),
        };
        let decision = decide(&outcome, delivery.number, self.options.max_deliveries);
        if let Err(error) = self.tell(&delivery, job.as_ref().ok(), &decision, segmenter) {
            tracing::warn!("{}: {error}; it will be delivered again", delivery.id);
        }
        self.metrics.ended(&settle::model_of(&delivery), &outcome, &decision, began.elapsed());
        let name = job.as_ref().map_or(&*delivery.id, |job| &*job.study.name);
        report(name, &delivery, &outcome, &decision, began.elapsed());
        self.count(&outcome, &decision);
    }

    /// Runs the study while signs of life are sent.
    fn attempt(&self, delivery: &Arc<Delivery>, job: &Job, segmenter: &dyn Segmenter) -> Outcome {
        let (beating, interval) = (delivery.clone(), self.source.ack_wait() / BEATS);
        let beats = self.runtime.spawn(async move { beating.beat(interval).await });
        let attempt = || match segmenter.is_done(job) {
            Ok(true) => Outcome::WasDone,
            Ok(false) if job.delivery > self.options.max_deliveries => Outcome::Exhausted,
            Ok(false) => segmenter.segment(job).map_or_else(Outcome::Failed, |()| Outcome::Done),
            Err(failure) => Outcome::Failed(failure),
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(attempt));
        beats.abort();
        outcome.unwrap_or_else(|panic| Outcome::Failed(Failure::Transient(message(&*panic))))
    }

    fn tell(
        &self,
        delivery: &Delivery,
        job: Option<&Job>,
        decision: &Decision,
        segmenter: &dyn Segmenter,
    ) -> Result<()> {
        let Decision::Bury(reason) = decision else {
            return self.runtime.block_on(self.queue.settle(delivery, decision, self.options.max_deliveries));
        };
        let letter = self.letter(delivery, job, reason);
        self.runtime.block_on(self.queue.bury(&letter))?;
        // Another worker may have written the result meanwhile.
        let is_done = job.is_some_and(|job| segmenter.is_done(job) == Ok(true));
        let is_done = if is_done { IsDone::Yes } else { IsDone::No };
        self.runtime.block_on(self.queue.leave(delivery, is_done))
    }

    fn letter(&self, delivery: &Delivery, job: Option<&Job>, reason: &str) -> DeadLetter {
        let text = || String::from_utf8_lossy(&delivery.message.payload).into_owned();
        DeadLetter {
            id: delivery.id.clone(),
            reason: reason.to_owned(),
            deliveries: delivery.number,
            worker: self.options.queue.client.clone(),
            study: job.map(|job| job.study.clone()),
            message: job.is_none().then(text),
            time: 0,
            sequence: 0,
        }
    }

    fn count(&mut self, outcome: &Outcome, decision: &Decision) {
        let Summary { done, already_done, retried, given_back, dead } = &mut self.summary;
        *match outcome_name(outcome, decision) {
            "done" => done,
            "already_done" => already_done,
            "retried" => retried,
            "given_back" => given_back,
            _ => dead,
        } += 1;
    }
}

/// Opens the queue, however long the server is not there.
async fn open(options: &WorkerOptions, stop: &dyn Fn() -> bool) -> Result<Option<(Queue, Source)>> {
    let mut said = String::new();
    loop {
        let opened = async {
            let queue = Queue::open(&options.queue).await?;
            let source = Source::open(&queue, &options.models, options.ack_wait).await?;
            Ok((queue, source))
        };
        match opened.await {
            Ok(opened) => return Ok(Some(opened)),
            Err(error @ (Error::Connect { .. } | Error::Request { .. })) => {
                let error = error.to_string();
                if error != said {
                    tracing::warn!("{error}; trying on");
                    said = error;
                }
            }
            Err(error) => return Err(error),
        }
        if tokio::time::timeout(PAUSE, stopped(stop)).await.is_ok() {
            return Ok(None);
        }
    }
}

async fn stopped(stop: &dyn Fn() -> bool) {
    while !stop() {
        tokio::time::sleep(POLL).await;
    }
}

fn report(name: &str, delivery: &Delivery, outcome: &Outcome, decision: &Decision, time: Duration) {
    let (time, number) = (time.as_secs_f64(), delivery.number);
    let reason = match outcome {
        Outcome::Failed(Failure::Permanent(reason) | Failure::Transient(reason)) => reason,
        _ => "",
    };
    match decision {
        Decision::Acknowledge if *outcome == Outcome::WasDone => {
            tracing::info!("{name}: its result is there");
        }
        Decision::Acknowledge => tracing::info!("{name}: done in {time:.2} s"),
        Decision::GiveBack | Decision::Resubmit => tracing::info!("{name}: given back"),
        Decision::Retry(pause) => {
            tracing::warn!("{name}: delivery {number}: {reason}; again in {} s", pause.as_secs());
        }
        Decision::Bury(reason) => tracing::warn!("{name}: given up: {reason}"),
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the segmentation failed: {}", text.unwrap_or("no reason is known"))
}
