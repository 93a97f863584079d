//! Dead letters: studies that no retry mends, each with its reason.

use async_nats::jetstream::{message::PublishMessage, stream::RawMessageErrorKind};
use serde::{Deserialize, Serialize};

use crate::{Error, Queue, Result, Study, names, queue::request_error};

/// A study that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The job.
    pub id: String,
    /// Why it was given up.
    pub reason: String,
    /// How often it was given to a worker.
    pub deliveries: u64,
    /// The last worker that had it.
    pub worker: String,
    /// The study as it was submitted; `None` for a message that is none.
    pub study: Option<Study>,
    /// The text of a message that is no study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was given up, in seconds since 1970.
    #[serde(default)]
    pub time: i64,
    /// Its place in the stream.
    #[serde(skip)]
    pub(crate) sequence: u64,
}

impl Queue {
    /// Puts a study among the dead letters; one of the same job is replaced.
    pub(crate) async fn publish_letter(&self, letter: &DeadLetter) -> Result<()> {
        let failed = |reason: &dyn std::error::Error| {
            request_error(&self.name, "a dead letter is not accepted", reason)
        };
        let body = serde_json::to_vec(letter).expect("texts become JSON");
        let subject = names::dead_subject(&self.name, &letter.id);
        let publish = PublishMessage::build().payload(body.into());
        let answer = self.context.send_publish(subject, publish).await.map_err(|reason| failed(&reason))?;
        answer.await.map(drop).map_err(|reason| failed(&reason))
    }

    /// Takes back the dead letter of a job that has a result after all.
    pub(crate) async fn exhume(&self, id: &str) -> Result<()> {
        let purge = self.dead.purge().filter(names::dead_subject(&self.name, id));
        let failed = |reason| request_error(&self.name, "a dead letter cannot be taken back", &reason);
        purge.await.map(drop).map_err(failed)
    }

    /// Removes a dead letter, unless a newer one has replaced it.
    pub(crate) async fn remove(&self, letter: &DeadLetter) {
        if let Err(reason) = self.dead.delete_message(letter.sequence).await {
            tracing::debug!("dead letter {}: {reason}", letter.id);
        }
    }

    /// All dead letters, the oldest first.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let (mut letters, mut next) = (Vec::new(), 1);
        while let Some(letter) = self.next_letter(next).await? {
            next = letter.sequence + 1;
            letters.push(letter);
        }
        Ok(letters)
    }

    /// The dead letter of a job.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>> {
        self.letter_of(1, names::dead_subject(&self.name, id)).await
    }

    async fn next_letter(&self, sequence: u64) -> Result<Option<DeadLetter>> {
        self.letter_of(sequence, names::all_dead(&self.name)).await
    }

    /// The first letter of a subject from a place on.
    async fn letter_of(&self, sequence: u64, subject: String) -> Result<Option<DeadLetter>> {
        let request = self.dead.raw_message_builder().sequence(sequence);
        let message = match request.next_by_subject(subject).send().await {
            Ok(message) => message,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(request_error(&self.name, "dead letters cannot be read", &error)),
        };
        let letter: DeadLetter =
            serde_json::from_slice(&message.payload).map_err(|error| Error::Request {
                queue: self.name.clone(),
                action: "dead letters cannot be read",
                reason: format!("{}: {error}", message.subject),
            })?;
        let time = message.time.unix_timestamp();
        Ok(Some(DeadLetter { sequence: message.sequence, time, ..letter }))
    }
}
