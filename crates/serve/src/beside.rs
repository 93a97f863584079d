//! What requests need of the processor beside the jobs: files read and written, pictures.

use std::sync::LazyLock;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::task::{JoinError, spawn_blocking};

/// Requests that are worked on at once.
const THREADS: usize = 4;

/// The threads of the networks are busy for as long as a job runs, so requests have their own.
static POOL: LazyLock<ThreadPool> = LazyLock::new(|| {
    ThreadPoolBuilder::new().num_threads(THREADS).build().expect("the system can start four threads")
});

/// Runs what reads or writes files beside the threads that answer and those of the networks.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    spawn_blocking(move || POOL.install(work)).await
}
