//! Tells the queue what became of a delivery.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message, message::PublishMessage};

use crate::{DeadLetter, Error, Queue, Result, decision::Decision, names, queue::request_error};

/// Attempts to tell it; then the study is delivered again, and whoever gets it finds the result.
const ATTEMPTS: usize = 3;
/// Pause before the next.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether the result of a study is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsDone {
    Yes,
    No,
}

/// A message that a worker has.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// The job.
    pub(crate) id: String,
    /// From 1.
    pub(crate) number: u64,
    /// Of the message, in its stream.
    pub(crate) sequence: u64,
}

impl Delivery {
    pub(crate) fn new(message: Message) -> Result<Self, async_nats::Error> {
        let info = message.info()?;
        let (number, sequence) = (u64::try_from(info.delivered).unwrap_or(1), info.stream_sequence);
        let header = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
        // For a message that is no study; the others say themselves.
        let id = header.map_or_else(|| format!("message-{sequence}"), ToString::to_string);
        Ok(Self { message, id: as_token(&id), number, sequence })
    }

    /// Says that the study still runs, again and again.
    pub(crate) async fn beat(&self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(reason) = self.message.ack_with(AckKind::Progress).await {
                tracing::debug!("{}: {reason}", self.id);
            }
        }
    }
}

/// A text as one part of a subject.
fn as_token(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

impl Queue {
    /// Tells the queue what became of a delivery that is not buried.
    pub(crate) async fn settle(
        &self,
        delivery: &Delivery,
        decision: &Decision,
        max_deliveries: u64,
    ) -> Result<()> {
        insist(async || match decision {
            Decision::Acknowledge => self.acknowledge(delivery, max_deliveries).await,
            Decision::GiveBack => self.give_back(delivery, None).await,
            Decision::Retry(pause) => self.give_back(delivery, Some(*pause)).await,
            Decision::Resubmit => self.resubmit(delivery).await,
            Decision::Bury(_) => Ok(()),
        })
        .await
    }

    /// The first half of giving a study up: it is among the dead letters, and still in the queue, so that it is never in
    /// neither.
    pub(crate) async fn bury(&self, letter: &DeadLetter) -> Result<()> {
        insist(async || self.publish_letter(letter).await).await
    }

    /// The second half: the study leaves the queue. Whoever writes its result after [`Self::bury`] takes the letter back
    /// ([`Self::acknowledge`]); a result that was written before is found now.
    pub(crate) async fn leave(&self, delivery: &Delivery, is_done: IsDone) -> Result<()> {
        insist(async || match is_done {
            IsDone::Yes => {
                self.exhume(&delivery.id).await?;
                self.confirm(delivery, AckKind::Ack).await
            }
            IsDone::No => self.confirm(delivery, AckKind::Term).await,
        })
        .await
    }

    async fn acknowledge(&self, delivery: &Delivery, max_deliveries: u64) -> Result<()> {
        // Another worker may have buried the study while this one could not be heard.
        if delivery.number >= max_deliveries {
            self.exhume(&delivery.id).await?;
        }
        self.confirm(delivery, AckKind::Ack).await
    }

    /// The server answers once it has noted it.
    async fn confirm(&self, delivery: &Delivery, kind: AckKind) -> Result<()> {
        let confirmed = delivery.message.double_ack_with(kind).await;
        confirmed.map_err(|reason| self.unheard(&*reason))
    }

    async fn give_back(&self, delivery: &Delivery, pause: Option<Duration>) -> Result<()> {
        let sent = delivery.message.ack_with(AckKind::Nak(pause)).await;
        sent.map_err(|reason| self.unheard(&*reason))?;
        self.client.flush().await.map_err(|reason| self.unheard(&reason))
    }

    /// The study as a new message; one that is there twice is done once.
    async fn resubmit(&self, delivery: &Delivery) -> Result<()> {
        let publish = PublishMessage::build()
            .payload(delivery.message.payload.clone())
            .message_id(format!("{}-{}", delivery.id, delivery.sequence));
        let subject = delivery.message.subject.clone();
        let sent =
            self.context.send_publish(subject, publish).await.map_err(|reason| self.unheard(&reason))?;
        match sent.await {
            Ok(_) => self.confirm(delivery, AckKind::Ack).await,
            // A full queue has no room for it; it has had its deliveries then.
            Err(_) => self.give_back(delivery, None).await,
        }
    }

    fn unheard(&self, reason: &dyn std::error::Error) -> Error {
        request_error(&self.name, "the outcome of a study is not confirmed", reason)
    }
}

/// Tries several times.
async fn insist(attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
    for _ in 1..ATTEMPTS {
        if attempt().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    attempt().await
}

pub(crate) fn model_of(delivery: &Delivery) -> String {
    names::model_of(&delivery.message.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_part_of_a_subject() {
        assert_eq!(as_token("01af.3"), "01af_3");
        assert_eq!(as_token("a b>*"), "a_b__");
    }
}
