//! Studies, and workers that note what they were given instead of segmenting it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bipvl_worker::{
    Failure, Job, Queue, QueueOptions, QueueStatus, Segmenter, Study, Submission, Submitted, Summary, Worker,
    WorkerOptions,
};
use tokio::runtime::Runtime;

use super::server::{Server, wait_for};

pub(crate) const MODEL: &str = "model";

/// Studies of [`MODEL`] with numbers.
pub(crate) fn studies(count: usize) -> Vec<Study> {
    let study = |number| Study {
        name: format!("case_{number}"),
        scan: vec![format!("case_{number}.nii")],
        model: MODEL.to_owned(),
        out: "out".to_owned(),
        ..Study::default()
    };
    (0..count).map(study).collect()
}

/// What a worker does with a study.
pub(crate) type Act = dyn Fn(&Job) -> Result<(), Failure> + Send + Sync;

/// Results in memory, shared by workers; the names of studies and how often each result was written.
#[derive(Clone, Default)]
pub(crate) struct Results(Arc<Mutex<BTreeMap<String, usize>>>);

impl Results {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn write(&self, job: &Job) {
        *self.0.lock().unwrap().entry(job.study.name.clone()).or_default() += 1;
    }

    /// Loses a result.
    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    /// How often any result was written.
    pub(crate) fn writes(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }
}

struct Acting {
    results: Results,
    act: Arc<Act>,
}

impl Segmenter for Acting {
    fn is_done(&self, job: &Job) -> Result<bool, Failure> {
        Ok(self.results.0.lock().unwrap().contains_key(&job.study.name))
    }

    fn segment(&self, job: &Job) -> Result<(), Failure> {
        (self.act)(job)?;
        self.results.write(job);
        Ok(())
    }
}

/// A worker in a thread.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Summary>,
}

impl Running {
    pub(crate) fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Tells it to leave, and waits.
    pub(crate) fn stop(self) -> Summary {
        self.tell_to_stop();
        self.join()
    }

    /// Waits until it leaves.
    pub(crate) fn join(self) -> Summary {
        self.thread.join().unwrap()
    }
}

/// A queue on a server, and its workers.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) results: Results,
    pub(crate) runtime: Runtime,
}

impl Scene {
    pub(crate) fn new() -> Option<Self> {
        let (server, results) = (Server::start()?, Results::default());
        Some(Self { server, results, runtime: Runtime::new().unwrap() })
    }

    pub(crate) fn queue_options(&self, client: &str, max_studies: Option<u64>) -> QueueOptions {
        QueueOptions {
            url: self.server.url(),
            token: None,
            name: "studies".to_owned(),
            max_studies,
            client: client.to_owned(),
        }
    }

    pub(crate) fn open(&self) -> Queue {
        self.runtime.block_on(Queue::open(&self.queue_options("test", None))).unwrap()
    }

    pub(crate) fn submit(&self, studies: &[Study]) -> Submitted {
        let queue = self.open();
        self.runtime.block_on(queue.submit(studies, Submission::Wait, &|| {})).unwrap()
    }

    pub(crate) fn status(&self) -> QueueStatus {
        let queue = self.open();
        self.runtime.block_on(queue.status()).unwrap()
    }

    /// Waits until no study waits or runs.
    pub(crate) fn wait_until_empty(&self) -> QueueStatus {
        let queue = self.open();
        wait_for("the queue", || {
            let status = self.runtime.block_on(queue.status()).unwrap();
            (status.unfinished() == 0).then_some(status)
        })
    }

    pub(crate) fn worker_options(&self, name: &str) -> WorkerOptions {
        WorkerOptions {
            queue: self.queue_options(name, None),
            models: vec![MODEL.to_owned()],
            ack_wait: Some(Duration::from_secs(1)),
            max_deliveries: 3,
            max_idle: None,
            metrics: None,
        }
    }

    /// Starts a worker that does `act`.
    pub(crate) fn start(
        &self,
        options: WorkerOptions,
        act: impl Fn(&Job) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let acting = Acting { results: self.results.clone(), act: Arc::new(act) };
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let must_stop = || told.load(Ordering::SeqCst);
            let worker = Worker::start(options, &must_stop).unwrap().unwrap();
            worker.run(&acting, &must_stop)
        });
        Running { stop, thread }
    }

    /// A worker that leaves once the queue is empty.
    pub(crate) fn drain(
        &self,
        name: &str,
        act: impl Fn(&Job) -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Summary {
        let options = WorkerOptions { max_idle: Some(Duration::ZERO), ..self.worker_options(name) };
        self.start(options, act).join()
    }
}
