//! Studies from a NATS `JetStream` work queue.
//!
//! [`Queue`] is the queue: it is made at the first use, takes studies ([`Queue::submit`]) and says where it stands
//! ([`Queue::status`]). A [`Study`] refers to a scan, and never holds voxels. [`Worker`] takes one study after the other and
//! hands it to a [`Segmenter`], which writes a result; how a scan is segmented is not known here.
//!
//! # Guarantees
//!
//! A study that was accepted stays in the queue until a worker has confirmed its result, or has put it among the dead
//! letters with a reason. Workers may end at any time and links may break: the study is delivered again, so it may be
//! segmented more than once. A [`Segmenter`] writes a result whole and knows what is there, so there is one result.

mod connection;
mod dead_letter;
mod decision;
mod error;
mod exporter;
mod forgotten;
mod metrics;
mod names;
mod queue;
mod settle;
mod source;
mod status;
mod study;
mod submit;
mod worker;

pub use connection::QueueOptions;
pub use dead_letter::DeadLetter;
pub use error::{Error, Result};
pub use names::is_queue_name;
pub use queue::Queue;
pub use status::{ModelStatus, QueueStatus};
pub use study::{Job, Study};
pub use submit::{Submission, Submitted};
pub use worker::{Failure, Segmenter, Summary, Worker, WorkerOptions};
