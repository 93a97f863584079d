//! Runs jobs: each worker is a thread that takes the next job, segments, and writes the result.

use std::{
    any::Any,
    collections::HashMap,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bipvl_dicom::Algorithm;
use bipvl_infer::InferenceProgress;
use tokio::{runtime::Handle, sync::Notify};

use crate::{
    Error, Result,
    delegate::{Task, Workers},
    library::{Library, Scan},
    metrics::Metrics,
    models::{Models, NamedModel},
    queue::{FoundSegment, HEARTBEAT, Job, JobState, Lease, Progress, Queue},
    results, without_folders,
};

/// How long an idle worker waits before it looks for jobs of other servers.
const IDLE: Duration = Duration::from_secs(1);

/// A job that runs here.
#[derive(Debug, Default)]
struct Running {
    done: AtomicU64,
    total: AtomicU64,
    is_canceled: AtomicBool,
    is_lost: AtomicBool,
}

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) models: Models,
    pub(crate) library: Library,
    pub(crate) queue: Queue,
    pub(crate) metrics: Metrics,
    /// Who does the jobs, if not this process.
    workers: Option<Workers>,
    running: Mutex<HashMap<String, Arc<Running>>>,
    new_job: Notify,
    is_stopping: AtomicBool,
}

impl Engine {
    pub(crate) fn new(models: Models, library: Library, queue: Queue, metrics: Metrics) -> Self {
        Self {
            models,
            library,
            queue,
            metrics,
            workers: None,
            running: Mutex::default(),
            new_job: Notify::new(),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// With workers of a queue that do the jobs.
    pub(crate) fn with_workers(self, workers: Option<Workers>) -> Self {
        Self { workers, ..self }
    }

    /// Starts a worker; it ends after [`Self::stop`].
    pub(crate) fn start_worker(self: &Arc<Self>, runtime: Handle) -> JoinHandle<()> {
        let engine = self.clone();
        std::thread::spawn(move || engine.work(&runtime))
    }

    /// Tells idle workers of a new job.
    pub(crate) fn announce(&self) {
        self.new_job.notify_one();
    }

    /// Ends all workers: those that run a job put it back.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.new_job.notify_waiters();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// How far a job is that runs here: newer than what the database knows.
    pub(crate) fn progress(&self, id: &str) -> Option<Progress> {
        let running = self.running_jobs().get(id)?.clone();
        progress_of(&running)
    }

    /// Cancels a job that waits or runs.
    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        if let Some(running) = self.running_jobs().get(id) {
            running.is_canceled.store(true, Ordering::SeqCst);
        }
        self.queue.cancel(id).await
    }

    fn running_jobs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.running.lock().expect("no thread panics while it holds the list")
    }

    fn work(&self, runtime: &Handle) {
        while !self.is_stopping() {
            match runtime.block_on(self.queue.claim()) {
                Ok(Some(job)) => self.run(runtime, &job),
                Ok(None) => runtime.block_on(async {
                    let _ = tokio::time::timeout(IDLE, self.new_job.notified()).await;
                }),
                Err(error) => {
                    tracing::error!("{error}");
                    std::thread::sleep(IDLE);
                }
            }
        }
    }

    /// Runs a job that this worker holds, and ends it.
    fn run(&self, runtime: &Handle, job: &Job) {
        let running = Arc::new(Running::default());
        self.running_jobs().insert(job.id.clone(), running.clone());
        let heartbeat = runtime.spawn(keep_lease(self.queue.clone(), job.id.clone(), running.clone()));
        let began = Instant::now();
        // Within the pool: an operation that comes from outside waits for a thread to wake up.
        let segment = || match &self.workers {
            None => rayon::scope(|_| self.segment(job, &running)),
            Some(workers) => runtime.block_on(self.delegate(job, &running, workers)),
        };
        let outcome = panic::catch_unwind(AssertUnwindSafe(segment))
            .unwrap_or_else(|panic| Err(Error::Panic(message(&*panic))));
        heartbeat.abort();
        self.running_jobs().remove(&job.id);
        if running.is_lost.load(Ordering::SeqCst) || (outcome.is_err() && self.is_stopping()) {
            return;
        }
        let ended = runtime.block_on(self.finish(job, outcome));
        match ended {
            Ok(state) => self.metrics.job_ended(&job.model, state, began.elapsed()),
            // The lease ends, and the job is run again.
            Err(error) => tracing::error!("job {}: {error}", job.id),
        }
    }

    async fn finish(&self, job: &Job, outcome: Result<Vec<FoundSegment>>) -> Result<JobState> {
        let id = &job.id;
        let (state, segments, error) = match outcome {
            Ok(segments) => (JobState::Done, Some(segments), None),
            Err(Error::Canceled) => (JobState::Canceled, None, None),
            Err(error) => {
                tracing::warn!("job {id} failed");
                tracing::debug!("job {id}: {error}");
                (JobState::Failed, None, Some(without_folders(&error.to_string())))
            }
        };
        self.queue.finish(id, state, segments.as_deref(), error.as_deref()).await?;
        Ok(state)
    }

    fn find(&self, job: &Job) -> Result<(&NamedModel, Scan)> {
        let named = self.models.get(&job.model);
        let named = named.ok_or_else(|| Error::Gone(format!("model {} is not served here", job.model)))?;
        let scan = self.library.find(&job.scan)?;
        Ok((named, scan.ok_or_else(|| Error::Gone(format!("scan {} was deleted", job.scan)))?))
    }

    /// Has a worker of the queue do a job.
    async fn delegate(&self, job: &Job, running: &Running, workers: &Workers) -> Result<Vec<FoundSegment>> {
        let (model, scan) = self.find(job)?;
        let folder = self.library.results(&job.id);
        workers.segment(&Task { job, model, scan: &scan, folder }, &|| self.must_stop(running)).await
    }

    fn must_stop(&self, running: &Running) -> bool {
        running.is_canceled.load(Ordering::SeqCst)
            || running.is_lost.load(Ordering::SeqCst)
            || self.is_stopping()
    }

    fn segment(&self, job: &Job, running: &Running) -> Result<Vec<FoundSegment>> {
        let (named, scan) = self.find(job)?;
        let mut loaded = scan.load()?;
        let channels = std::mem::take(&mut loaded.channels);
        let image = channels[0].clone();
        let request = job.request.to_segmentation(&named.model);
        let mut on_progress = |progress: InferenceProgress| {
            running.done.store(progress.done as u64, Ordering::Relaxed);
            running.total.store(progress.total as u64, Ordering::Relaxed);
            if self.must_stop(running) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let path = scan.file.path();
        let found = named.model.segment(channels, path, loaded.header.as_ref(), &request, &mut on_progress);
        let found = match found {
            Err(_) if running.is_canceled.load(Ordering::SeqCst) => return Err(Error::Canceled),
            found => found?,
        };
        let segments = results::found_segments(&found);
        let algorithm = Algorithm {
            name: "bipvl".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key: format!("{} {request:?}", named.key),
        };
        results::write(&self.library.results(&job.id), &found, &segments, &image, &loaded, algorithm)?;
        Ok(segments)
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason is known").to_owned()
}

fn progress_of(running: &Running) -> Option<Progress> {
    let total = running.total.load(Ordering::Relaxed);
    (total > 0).then(|| Progress { done: running.done.load(Ordering::Relaxed), total })
}

/// Extends the lease of a job while it runs, and hears who wants it to stop.
async fn keep_lease(queue: Queue, id: String, running: Arc<Running>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match queue.extend(&id, progress_of(&running)).await {
            Ok(Lease::Kept) => {}
            Ok(Lease::CancelRequested) => running.is_canceled.store(true, Ordering::SeqCst),
            Ok(Lease::Lost) => running.is_lost.store(true, Ordering::SeqCst),
            Err(error) => tracing::error!("job {id}: {error}"),
        }
    }
}

impl Engine {
    /// Forgets a job that has ended, with its result; `false` if there is none.
    pub(crate) async fn delete_job(&self, id: &str) -> Result<bool> {
        let is_deleted = self.queue.delete(id).await?;
        if is_deleted {
            // Failed jobs have no folder.
            let _ = std::fs::remove_dir_all(self.library.results(id));
        }
        Ok(is_deleted)
    }
}
