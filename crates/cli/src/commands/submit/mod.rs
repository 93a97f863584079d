//! `bipvl submit`: puts studies into the queue of `bipvl worker`, or shows it.

#[cfg(feature = "nats")]
mod queued;

use anyhow::Result;

use crate::args::SubmitArgs;

#[cfg(not(feature = "nats"))]
pub(crate) fn run(_args: &SubmitArgs) -> Result<()> {
    super::worker::missing()
}

/// Submits scans, or shows the queue.
#[cfg(feature = "nats")]
pub(crate) fn run(args: &SubmitArgs) -> Result<()> {
    if args.status { queued::show(args) } else { queued::submit(args) }
}
