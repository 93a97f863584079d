//! The lines of a shard: what became of each scan, where, and with which weights.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl::infer::run_dirs;
use sha2::{Digest, Sha256};

use super::outputs::{Job, Plan};
use crate::{
    args::PredictArgs,
    ledger::{Ledger, Origin, StudyLine, StudyState},
    shard::Shard,
};

/// Hexadecimal digits of the hash of a model; of 2^32 models two have the same with probability 1/2.
const HASH_DIGITS: usize = 16;

/// Writes a line per scan of a shard; of a prediction without shards, nothing.
pub(super) struct Record<'a>(Option<Lines<'a>>);

struct Lines<'a> {
    ledger: Ledger,
    origin: Origin,
    out: &'a Path,
    shard: Shard,
    studies: usize,
}

impl<'a> Record<'a> {
    /// Opens the file of the shard and notes the scans that were finished before.
    ///
    /// # Errors
    ///
    /// When another process works on the shard, the weights cannot be read, or the file cannot be written.
    pub(super) fn open(args: &'a PredictArgs, plan: &Plan) -> Result<Self> {
        let Some(shard) = plan.shard else { return Ok(Self(None)) };
        let ledger = Ledger::open(&args.out, shard)?;
        let origin = Origin {
            host: host(),
            job: job(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model_hash(&args.model)?,
        };
        let mut record = Self(Some(Lines { ledger, origin, out: &args.out, shard, studies: plan.studies }));
        for job in &plan.finished {
            record.write(job, StudyState::Skipped, None, None)?;
        }
        Ok(record)
    }

    /// Writes what became of a scan.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn write(
        &mut self,
        job: &Job,
        state: StudyState,
        seconds: Option<f64>,
        error: Option<String>,
    ) -> Result<()> {
        let Some(Lines { ledger, origin, out, shard, studies }) = &mut self.0 else { return Ok(()) };
        let name = |path: &PathBuf| path.strip_prefix(&out).unwrap_or(path).display().to_string();
        let outputs = if state == StudyState::Failed { Vec::new() } else { job.paths().map(name).collect() };
        let line = StudyLine {
            study: job.scan.id.clone(),
            state,
            place: job.place,
            studies: *studies,
            shard: *shard,
            seconds,
            outputs,
            error,
            origin: origin.clone(),
        };
        if state == StudyState::Skipped && ledger.knows(&line) { Ok(()) } else { ledger.append(line) }
    }
}

/// The name of this machine.
pub(crate) fn host() -> Option<String> {
    let of_kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = env::var("SLURMD_NODENAME").ok().or_else(of_kernel).or_else(|| env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned())
}

/// The job and the task of Slurm, as its log files are named.
fn job() -> Option<String> {
    let variable = |name| env::var(name).ok();
    match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID")) {
        (Some(job), Some(task)) => Some(format!("{job}_{task}")),
        _ => variable("SLURM_JOB_ID"),
    }
}

/// The first digits of the SHA-256 of the weights of all runs.
pub(crate) fn model_hash(models: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for model in models {
        for run in run_dirs(model)? {
            let weights = run.join("best.safetensors");
            let mut file = File::open(&weights).with_context(|| weights.display().to_string())?;
            io::copy(&mut file, &mut hash).with_context(|| weights.display().to_string())?;
        }
    }
    Ok(format!("{:x}", hash.finalize())[..HASH_DIGITS].to_owned())
}
