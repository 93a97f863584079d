//! Makes what coming steps need in background threads; what a step gets depends on the step alone.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// How many finished steps a worker may be ahead of the consumer.
pub const PREFETCH_STEPS: usize = 2;

/// An endless iterator of steps and what was made for them, in order.
///
/// Dropping it ends its threads. A worker that panics makes the iterator panic with the same message.
#[derive(Debug)]
pub struct Prefetch<T> {
    next_step: usize,
    first_step: usize,
    // Worker `w` of `n` makes the steps `first_step + w`, `first_step + w + n`, …, in order.
    results: Vec<Receiver<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `workers` threads (at least one), which never change what `make` gives for a step.
    pub fn new(workers: usize, first_step: usize, make: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        let workers = workers.max(1);
        let make = Arc::new(make);
        let start_worker = |worker: usize| {
            let (sender, receiver) = sync_channel(PREFETCH_STEPS);
            let make = Arc::clone(&make);
            let mut steps = (first_step + worker..).step_by(workers);
            (
                receiver,
                thread::spawn(
                    move || while steps.next().is_some_and(|step| sender.send(make(step)).is_ok()) {},
                ),
            )
        };
        let (results, threads) = (0..workers).map(start_worker).unzip();
        Self { next_step: first_step, first_step, results, threads }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = (usize, T);

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.next_step;
        let worker = (step - self.first_step) % self.results.len();
        let Ok(made) = self.results[worker].recv() else {
            match self.threads.swap_remove(worker).join() {
                Err(message) => resume_unwind(message),
                Ok(()) => unreachable!("a worker ends only when nobody listens"),
            }
        };
        self.next_step += 1;
        Some((step, made))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.results.clear();
        for thread in self.threads.drain(..) {
            // A panic of a worker whose result is unused is ignored.
            let _ = thread.join();
        }
    }
}
