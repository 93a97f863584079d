//! Ranks of an MPI job, as `mpirun` or `srun` start them.

use std::fs;

use mpi::{
    Threading,
    collective::{CommunicatorCollectives as _, SystemOperation},
    environment::Universe,
    topology::{Communicator as _, SimpleCommunicator},
};

use super::Communicator;

/// An MPI job; dropping it ends MPI, after which this process can take no part in one again.
pub struct Mpi {
    _universe: Universe,
    rank: usize,
    size: usize,
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Mpi {
    /// Joins the job that this process was started in. One thread at a time may communicate.
    ///
    /// `None` when MPI runs already, or cannot be called from more than one thread.
    pub fn init() -> Option<Self> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)?;
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        (threading >= Threading::Serialized).then_some(Self { _universe: universe, rank, size })
    }

    /// How many ranks run on the cores of this process: 1 where the launcher has bound each rank to cores of its own.
    pub fn ranks_on_same_cores(&self) -> usize {
        let node = SimpleCommunicator::world().split_shared(self.rank as i32);
        let own = allowed_cores();
        let mut all = vec![0_u64; node.size() as usize];
        node.all_gather_into(&own, &mut all[..]);
        all.into_iter().filter(|cores| *cores == own).count()
    }

    /// Ends all ranks at once, with an exit code.
    pub fn abort(exit_code: u8) -> ! {
        SimpleCommunicator::world().abort(exit_code.into())
    }
}

/// A number for the set of cores that this process may run on.
fn allowed_cores() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:")).unwrap_or_default();
    // FNV-1a: the same in all processes.
    cores
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, values: &mut [f32]) {
        let own = values.to_vec();
        SimpleCommunicator::world().all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    fn sum_f64(&self, values: &mut [f64]) {
        let own = values.to_vec();
        SimpleCommunicator::world().all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    fn barrier(&self) {
        SimpleCommunicator::world().barrier();
    }
}
