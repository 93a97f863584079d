//! Threads that survive a fork of the process: `multiprocessing` copies a process without its threads.

use std::{
    mem,
    ops::ControlFlow,
    process::id,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use pyo3::{call::PyCallArgs, prelude::*};
use rayon::ThreadPool;

use crate::error;

/// A pool of threads, made at its first use in each process.
pub(crate) struct Pool {
    threads: Option<usize>,
    /// With the process that it belongs to.
    made: Mutex<Option<(u32, Arc<ThreadPool>)>>,
}

/// Whether Ctrl-C was pressed during a call.
pub(crate) struct Interrupt(AtomicBool);

impl Interrupt {
    pub(crate) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long Ctrl-C may go unheard.
const POLL: Duration = Duration::from_millis(50);

static DEFAULT: Pool = Pool::new(None);

impl Pool {
    /// Of this many threads; `None` for all processors.
    pub(crate) const fn new(threads: Option<usize>) -> Self {
        Self { threads, made: Mutex::new(None) }
    }

    fn get(&self) -> PyResult<Arc<ThreadPool>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((process, pool)) = &*made
            && *process == id()
        {
            return Ok(pool.clone());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build();
        let pool = Arc::new(pool.map_err(error)?);
        // The threads of a copy are not here, so they must not be waited for.
        mem::forget(made.replace((id(), pool.clone())));
        Ok(pool)
    }

    /// Runs without the interpreter, so that other Python threads go on. Ctrl-C is heard by the main thread of Python alone,
    /// so this one looks for it, and the work asks its [`Interrupt`] from time to time.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Interrupt) -> T + Send,
    ) -> PyResult<T> {
        let pool = self.get()?;
        let interrupt = Interrupt(AtomicBool::new(false));
        py.detach(|| {
            let (sender, result) = mpsc::channel();
            let interrupt = &interrupt;
            pool.in_place_scope(move |scope| {
                scope.spawn(move |_| {
                    // The receiver outlives the scope.
                    let _ = sender.send(work(interrupt));
                });
                wait(&result, interrupt)
            })
        })
    }
}

/// The result of the work, after its end; `KeyboardInterrupt` instead, if there was one.
fn wait<T>(result: &Receiver<T>, interrupt: &Interrupt) -> PyResult<T> {
    let mut heard = None;
    loop {
        match result.recv_timeout(POLL) {
            Ok(result) => return heard.map_or(Ok(result), Err),
            Err(RecvTimeoutError::Timeout) if heard.is_none() => {
                heard = Python::attach(|py| py.check_signals().err());
                interrupt.0.store(heard.is_some(), Ordering::Relaxed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // Only after a panic, which the end of the scope goes on with.
            Err(RecvTimeoutError::Disconnected) => return Err(error("the computation ended early")),
        }
    }
}

/// Calls a progress callback, whose exception goes to `failure`. Breaks after that, and after Ctrl-C.
pub(crate) fn report<A: for<'py> PyCallArgs<'py>>(
    interrupt: &Interrupt,
    progress: Option<&Py<PyAny>>,
    state: A,
    failure: &mut Option<PyErr>,
) -> ControlFlow<()> {
    if interrupt.is_requested() {
        return ControlFlow::Break(());
    }
    let Some(progress) = progress else { return ControlFlow::Continue(()) };
    match Python::attach(|py| progress.call1(py, state).map(|_| ())) {
        Ok(()) => ControlFlow::Continue(()),
        Err(reason) => {
            *failure = Some(reason);
            ControlFlow::Break(())
        }
    }
}

/// [`Pool::run`] in a pool of its own, or without a number of threads in that of the process.
pub(crate) fn compute<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    work: impl FnOnce(&Interrupt) -> T + Send,
) -> PyResult<T> {
    match threads {
        None => DEFAULT.run(py, work),
        threads => Pool::new(threads).run(py, work),
    }
}
