//! Answers of the archive as streams: a thread reads, who asked gets pieces.

use std::io::{self, Read};

use axum::body::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use ureq::Body;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// Pieces that wait to be taken.
const WAITING: usize = 4;

/// The body of an answer of at most so many bytes. It is read as fast as it is taken, and no further once it is dropped.
pub(super) fn stream(body: Body, max_bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut reader = body.into_with_config().limit(max_bytes).reader();
        loop {
            let mut piece = vec![0; PIECE];
            let is_over = match reader.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    sender.blocking_send(Ok(Bytes::from(piece))).is_err()
                }
                Err(error) => {
                    // Whoever asked may have gone away.
                    let _ = sender.blocking_send(Err(error));
                    true
                }
            };
            if is_over {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    })
}
