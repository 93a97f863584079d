//! Threads that survive a fork of the process: `multiprocessing` copies a process without its threads.

use std::{
    mem,
    process::id,
    sync::{Arc, Mutex, PoisonError},
};

use pyo3::prelude::*;
use rayon::ThreadPool;

use crate::error;

/// A pool of threads, made at its first use in each process.
pub(crate) struct Pool {
    threads: Option<usize>,
    /// With the process that it belongs to.
    made: Mutex<Option<(u32, Arc<ThreadPool>)>>,
}

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

    /// Runs without the interpreter, so that other Python threads go on.
    pub(crate) fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
        let pool = self.get()?;
        Ok(py.detach(|| pool.install(work)))
    }
}

/// [`Pool::run`] in a pool of its own, or without a number of threads in that of the process.
pub(crate) fn compute<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    match threads {
        None => DEFAULT.run(py, work),
        threads => Pool::new(threads).run(py, work),
    }
}
