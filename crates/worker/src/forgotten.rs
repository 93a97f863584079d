//! Studies that the server holds and gives to nobody.
//!
//! A server that is killed may have noted an acknowledgment but not yet that the study left the stream, or the reverse. Then
//! it holds studies that its consumer takes for done. Idle workers submit them anew: those that are done are acknowledged
//! once more, the others are done.

use async_nats::jetstream::{
    consumer::{Consumer, pull},
    message::PublishMessage,
    stream::RawMessageErrorKind,
};

use crate::{Queue, Result, queue::request_error};

impl Queue {
    /// Submits the forgotten studies of a consumer anew; says how many there were.
    pub(crate) async fn remember(&self, consumer: &Consumer<pull::Config>) -> Result<usize> {
        let failed = |reason: &dyn std::error::Error| {
            request_error(&self.name, "forgotten studies cannot be looked for", reason)
        };
        let info = consumer.get_info().await.map_err(|reason| failed(&reason))?;
        let subject = &consumer.cached_info().config.filter_subject;
        let (mut count, mut next) = (0, 1);
        // What the consumer takes for done has left a work queue, if all is well.
        while next <= info.ack_floor.stream_sequence {
            let request = self.studies.raw_message_builder().sequence(next).next_by_subject(subject);
            let message = match request.send().await {
                Ok(message) if message.sequence <= info.ack_floor.stream_sequence => message,
                Ok(_) => break,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
                Err(error) => return Err(failed(&error)),
            };
            let id = message.headers.get("Nats-Msg-Id").map(ToString::to_string).unwrap_or_default();
            // Several workers may find it: the server drops what it is given twice.
            let publish = PublishMessage::build()
                .payload(message.payload)
                .message_id(format!("{id}-forgotten-{}", message.sequence));
            let sent = self.context.send_publish(message.subject, publish).await;
            sent.map_err(|reason| failed(&reason))?.await.map_err(|reason| failed(&reason))?;
            if let Err(reason) = self.studies.delete_message(message.sequence).await {
                tracing::debug!("study {}: {reason}", message.sequence);
            }
            (count, next) = (count + 1, message.sequence + 1);
        }
        if count > 0 {
            tracing::warn!("{count} studies that the server had forgotten wait again");
        }
        Ok(count)
    }
}
