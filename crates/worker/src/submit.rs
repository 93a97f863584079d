//! Puts studies into the queue, and waits while it is full.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    context::{PublishError, PublishErrorKind},
    message::PublishMessage,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{DeadLetter, Error, Queue, Result, Study, names, queue::request_error};

/// Studies that are on their way at once.
const IN_FLIGHT: usize = 64;
/// Pause before a study is offered again.
const PAUSE: Duration = Duration::from_millis(500);
/// Attempts to submit a study while the server does not answer, or starts; it drops what it has already.
const ATTEMPTS: usize = 20;

/// What to do when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// Wait for workers to make room.
    Wait,
    /// Give up.
    Fail,
}

/// What became of studies that were submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// Studies that are in the queue now, those from the dead letters among them.
    pub accepted: usize,
    /// Studies that the server was given before, within the last minutes.
    pub duplicates: usize,
    /// Studies that were dead letters, and are tried again.
    pub revived: usize,
}

enum Answer {
    Accepted { is_duplicate: bool, was_dead: bool },
    Full,
}

impl Queue {
    /// Submits studies. One that is a dead letter is taken from there and tried again. `on_full` is called when the queue
    /// is full, before it waits.
    ///
    /// # Errors
    ///
    /// When the server does not answer, or the queue is full and `submission` does not wait.
    pub async fn submit(
        &self,
        studies: &[Study],
        submission: Submission,
        on_full: &(dyn Fn() + Sync),
    ) -> Result<Submitted> {
        let dead = self.dead_letters().await?.into_iter().map(|letter| (letter.id.clone(), letter));
        let dead: HashMap<String, DeadLetter> = dead.collect();
        let dead = &dead;
        let mut answers = stream::iter(studies)
            .map(|study| async move { self.offer(study, dead, submission, on_full).await })
            .buffered(IN_FLIGHT);
        let (mut submitted, mut refused) = (Submitted::default(), 0);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Answer::Full => refused += 1,
                Answer::Accepted { is_duplicate: true, .. } => submitted.duplicates += 1,
                Answer::Accepted { was_dead, .. } => {
                    submitted.accepted += 1;
                    submitted.revived += usize::from(was_dead);
                }
            }
        }
        if refused > 0 {
            let queue = self.name.clone();
            return Err(Error::Full { queue, accepted: submitted.accepted, left: refused });
        }
        Ok(submitted)
    }

    /// Offers a study until it is accepted.
    async fn offer(
        &self,
        study: &Study,
        dead: &HashMap<String, DeadLetter>,
        submission: Submission,
        on_full: &(dyn Fn() + Sync),
    ) -> Result<Answer> {
        let id = study.id();
        let letter = dead.get(&id);
        // The server may still know the study that died.
        let message = letter.map_or_else(|| id.clone(), |letter| format!("{id}.{}", letter.sequence));
        let (mut attempts, mut was_full) = (0, false);
        loop {
            match self.publish(study, &message).await {
                Ok(is_duplicate) => {
                    if let Some(letter) = letter {
                        self.remove(letter).await;
                    }
                    return Ok(Answer::Accepted { is_duplicate, was_dead: letter.is_some() });
                }
                Err(error) if is_full(&error) => {
                    if submission == Submission::Fail {
                        return Ok(Answer::Full);
                    }
                    if !was_full {
                        was_full = true;
                        on_full();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) if may_pass(&error) && attempts < ATTEMPTS => {
                    attempts += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(request_error(&self.name, "a study is not accepted", &error)),
            }
        }
    }

    /// Whether the server had the study already.
    async fn publish(&self, study: &Study, message: &str) -> Result<bool, PublishError> {
        let publish = PublishMessage::build().payload(study.to_json().into()).message_id(message);
        let subject = names::study_subject(&self.name, &study.model);
        Ok(self.context.send_publish(subject, publish).await?.await?.duplicate)
    }
}

/// Whether the server may answer later: while it starts, no stream is there.
fn may_pass(error: &PublishError) -> bool {
    use PublishErrorKind::{BrokenPipe, StreamNotFound, TimedOut};
    [BrokenPipe, StreamNotFound, TimedOut].contains(&error.kind())
}

fn is_full(error: &PublishError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<async_nats::jetstream::Error>() {
            return error.error_code() == ErrorCode::STREAM_STORE_FAILED
                && error.to_string().contains("maximum");
        }
        cause = error.source();
    }
    false
}
