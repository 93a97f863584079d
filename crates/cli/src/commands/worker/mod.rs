//! `bipvl worker`: one of any number of processes that segment studies of a queue.

#[cfg(feature = "nats")]
mod files;
#[cfg(feature = "nats")]
mod models;
#[cfg(feature = "nats")]
pub(super) mod places;
#[cfg(feature = "nats")]
pub(super) mod queue;
#[cfg(feature = "nats")]
mod remote;
#[cfg(feature = "nats")]
mod results;
#[cfg(feature = "nats")]
mod segmenter;

use anyhow::Result;

use crate::args::WorkerArgs;

/// Says how a program is built that can do this.
#[cfg(not(feature = "nats"))]
pub(super) fn missing() -> Result<()> {
    anyhow::bail!("this program was built without NATS; build it with --features nats")
}

#[cfg(not(feature = "nats"))]
pub(crate) fn run(_args: &WorkerArgs) -> Result<()> {
    missing()
}

/// Works until a signal arrives, or the queue has been empty for long enough.
#[cfg(feature = "nats")]
pub(crate) fn run(args: &WorkerArgs) -> Result<()> {
    use std::time::Duration;

    use bipvl_worker::{Worker, WorkerOptions};

    use crate::interrupt;

    interrupt::install();
    let name = args.name.clone().unwrap_or_else(queue::process_name);
    let segmenter = segmenter::StudySegmenter {
        models: models::Models::open(&args.model, &args.device.open()?)?,
        places: places::Places::new(args.queue.root.as_deref())?,
    };
    let options = WorkerOptions {
        queue: queue::options(&args.queue, &name),
        models: args.model.iter().map(|model| model.name.clone()).collect(),
        ack_wait: args.ack_wait.map(Duration::from_secs),
        max_deliveries: args.max_deliveries,
        max_idle: args.max_idle.map(Duration::from_secs),
        metrics: args.metrics,
    };
    let Some(worker) = Worker::start(options, &interrupt::is_requested)? else { return Ok(()) };
    if let Some(address) = worker.metrics_address() {
        tracing::info!("figures on http://{address}/metrics");
    }
    tracing::info!("worker {name} takes studies of {}", segmenter.models.names());
    let summary = worker.run(&segmenter, &interrupt::is_requested);
    tracing::info!(
        "left: {} done, {} found done, {} to be tried again, {} given back, {} given up",
        summary.done,
        summary.already_done,
        summary.retried,
        summary.given_back,
        summary.dead
    );
    Ok(())
}
