//! Jobs that the workers of a NATS queue do: each is a study, whose result they write into the data folder.

#[cfg(feature = "nats")]
mod workers;

#[cfg(feature = "nats")]
pub(crate) use workers::Workers;

use std::path::PathBuf;

#[cfg(not(feature = "nats"))]
use crate::{Result, queue::FoundSegment};
use crate::{library::Scan, models::NamedModel, queue::Job};

/// A job with what it needs.
#[cfg_attr(not(feature = "nats"), expect(dead_code, reason = "there are no workers to read it"))]
pub(crate) struct Task<'a> {
    pub(crate) job: &'a Job,
    pub(crate) model: &'a NamedModel,
    pub(crate) scan: &'a Scan,
    /// The folder for its result.
    pub(crate) folder: PathBuf,
}

/// A server that was built without NATS has no workers elsewhere.
#[cfg(not(feature = "nats"))]
#[derive(Debug)]
pub(crate) enum Workers {}

#[cfg(not(feature = "nats"))]
impl Workers {
    pub(crate) async fn open(_: &crate::StudyQueue) -> Result<Self> {
        std::future::ready(Err(crate::Error::WithoutNats)).await
    }

    #[expect(clippy::unused_async, reason = "as with NATS")]
    pub(crate) async fn segment(&self, _: &Task<'_>, _: &dyn Fn() -> bool) -> Result<Vec<FoundSegment>> {
        match *self {}
    }
}
