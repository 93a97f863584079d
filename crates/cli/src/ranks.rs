//! The processes of a training that an MPI launcher has started.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
#[cfg(feature = "mpi")]
use bipvl::train::communicator::Mpi;
use bipvl::train::communicator::{Communicator, SingleProcess};

use crate::args::Command;

static JOINED: Mutex<Option<Arc<dyn Communicator>>> = Mutex::new(None);

/// Variables of Open MPI, MPICH and MVAPICH that hold the number of processes.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];

/// The processes that this one trains with.
pub(crate) fn communicator() -> Arc<dyn Communicator> {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    joined.clone().unwrap_or_else(|| Arc::new(SingleProcess))
}

/// Whether this process writes files and messages.
pub(crate) fn is_main() -> bool {
    communicator().is_main()
}

/// Joins the job of the launcher, where a training was started by one; the threads of this rank, where the launcher has
/// not bound it to cores of its own.
///
/// # Errors
///
/// When MPI does not work, or the program was built without.
pub(crate) fn join(command: &Command) -> Result<Option<usize>> {
    if matches!(command, Command::Train(_)) && is_launched() { start() } else { Ok(None) }
}

/// Whether there are other processes. `srun` with `PMIx` tells only the rank, beside the number of Slurm's tasks.
fn is_launched() -> bool {
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<usize>().ok());
    let by_pmix = number("PMIX_RANK").and(number("SLURM_NTASKS"));
    SIZES.into_iter().map(number).chain([by_pmix]).flatten().any(|size| size > 1)
}

#[cfg(feature = "mpi")]
fn start() -> Result<Option<usize>> {
    use anyhow::Context as _;
    let mpi = Mpi::init().context("MPI cannot be used from several threads")?;
    let sharing = mpi.ranks_on_same_cores();
    *JOINED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mpi));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Some((cores / sharing).max(1)))
}

#[cfg(not(feature = "mpi"))]
fn start() -> Result<Option<usize>> {
    anyhow::bail!(
        "an MPI launcher started several processes, but this program was built without --features mpi"
    )
}

/// Leaves the job. After a failure all other ranks are ended, which would wait for this one for ever.
pub(crate) fn leave(has_failed: bool) {
    let joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner).take();
    #[cfg(feature = "mpi")]
    if has_failed && joined.as_ref().is_some_and(|ranks| ranks.size() > 1) {
        Mpi::abort(crate::RUNTIME_ERROR);
    }
    #[cfg(not(feature = "mpi"))]
    let _ = has_failed;
    drop(joined);
}
