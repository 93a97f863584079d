//! Processes that train one network together: synchronous data parallelism, as PyTorch's `DistributedDataParallel`.

#[cfg(feature = "mpi")]
mod mpi;

use std::fmt::Debug;

#[cfg(feature = "mpi")]
pub use mpi::Mpi;

/// The ranks of a training. All of them make the same calls in the same order.
pub trait Communicator: Debug + Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// Replaces every value by its sum over all ranks. The sums are the same on all ranks, and depend on the values and
    /// the number of ranks alone.
    fn sum(&self, values: &mut [f32]);

    /// As [`Self::sum`].
    fn sum_f64(&self, values: &mut [f64]);

    /// Waits for all ranks.
    fn barrier(&self);

    /// Whether this rank writes the log and the files of the run.
    fn is_main(&self) -> bool {
        self.rank() == 0
    }

    /// Whether a condition holds on any rank.
    fn any(&self, condition: bool) -> bool {
        if self.size() == 1 {
            return condition;
        }
        let mut count = [f64::from(u8::from(condition))];
        self.sum_f64(&mut count);
        count[0] > 0.0
    }

    /// Whether a number is the same on all ranks.
    fn agree(&self, number: u32) -> bool {
        // Exact in 64 bits for millions of ranks.
        let number = f64::from(number);
        let mut sums = [number, 0.0];
        self.sum_f64(&mut sums[..1]);
        let size = self.size() as f64;
        sums[1] = (number * size - sums[0]).abs();
        self.sum_f64(&mut sums[1..]);
        sums[1] == 0.0
    }
}

/// A training in one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl Communicator for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn sum(&self, _: &mut [f32]) {}

    fn sum_f64(&self, _: &mut [f64]) {}

    fn barrier(&self) {}
}
