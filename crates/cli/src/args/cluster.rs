//! Flags of work that is shared out on a cluster: `--shard`, `merge`, `slurm`.

use std::{env, path::PathBuf, str::FromStr};

use anyhow::Result;
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser, value_parser};

use super::{AblateArgs, PredictArgs, TrainArgs};
use crate::shard::Shard;

/// The value of `--shard` where none is given.
pub(super) const FROM_SLURM: &str = "slurm";

#[derive(Debug, Args)]
pub(crate) struct ShardArgs {
    /// Do every N-th study alone, from the K-th of all in the order of their names (K from 0), such as 3/10. What is
    /// done is skipped, and a line per study is written to `OUT/studies-K-of-N.jsonl`, for `bipvl merge`. Without a
    /// value: the task of a Slurm job array. Write it last then, or `--shard=K/N`.
    #[arg(
        long,
        value_name = "K/N",
        num_args = 0..=1,
        default_missing_value = FROM_SLURM,
        conflicts_with_all = ["overwrite", "deidentify"]
    )]
    pub(crate) shard: Option<ShardArg>,
}

/// Which part of the studies to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardArg {
    /// As given.
    Given(Shard),
    /// As the environment of a Slurm job array says.
    Slurm,
}

impl ShardArg {
    /// The shard.
    ///
    /// # Errors
    ///
    /// When the environment is not that of a Slurm job array, or the array has gaps.
    pub(crate) fn resolve(self) -> Result<Shard> {
        match self {
            Self::Given(shard) => Ok(shard),
            Self::Slurm => Shard::from_slurm(|name| env::var(name).ok()),
        }
    }
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == FROM_SLURM { Ok(Self::Slurm) } else { text.parse().map(Self::Given) }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Output folder of `bipvl predict --shard` or of `bipvl evaluate --shard`; gets summary.csv and summary.json, and
    /// the scores of all shards in one file.
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Number of shards, where the folder has files of several numbers.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct SlurmArgs {
    #[command(subcommand)]
    pub(crate) command: SlurmCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SlurmCommand {
    /// A training that goes on after its time limit or a preemption, on one node or, with --ntasks, by MPI.
    Train(Box<SlurmTrainArgs>),
    /// A cross-validation: a task for each fold.
    Folds(Box<SlurmFoldsArgs>),
    /// An ablation study: a task for each row and seed.
    Ablate(Box<SlurmAblateArgs>),
    /// Predictions: a task for each shard of the studies.
    Predict(Box<SlurmPredictArgs>),
}

/// What the jobs ask of Slurm.
#[derive(Debug, Args)]
#[command(next_help_heading = "Slurm")]
pub(crate) struct JobArgs {
    /// CPUs of a task; the program uses as many threads.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u16).range(1..))]
    pub(crate) cpus_per_task: u16,
    /// Memory of a task, in GB [default: an estimate for a training with fixed classes, otherwise 16].
    #[arg(long, value_name = "GB", value_parser = value_parser!(u32).range(1..))]
    pub(crate) mem_gb: Option<u32>,
    /// Time limit of a task as Slurm writes it, such as 12:00:00 or 2-00:00:00. A task that reaches it goes on later.
    #[arg(long, value_name = "TIME", default_value = "1-00:00:00", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) time: String,
    /// Seconds before the time limit at which the program is asked to stop; longer than a training step takes.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = value_parser!(u16).range(1..))]
    pub(crate) grace_s: u16,
    /// Another option of sbatch, such as `--sbatch=--partition=long`; repeatable.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) sbatch: Vec<String>,
    /// A line of the script before the program starts, such as "module load openmpi"; repeatable.
    #[arg(long, value_name = "LINE")]
    pub(crate) setup: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SlurmTrainArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Processes that train together by MPI; needs a program with the feature `mpi`.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..), help_heading = "Slurm")]
    pub(crate) ntasks: u16,
    /// How srun starts the processes of MPI; `srun --mpi=list` lists what there is.
    #[arg(long, value_name = "TYPE", default_value = "pmix", help_heading = "Slurm")]
    pub(crate) mpi: String,
}

#[derive(Debug, Args)]
pub(crate) struct SlurmFoldsArgs {
    #[command(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SlurmAblateArgs {
    #[command(flatten)]
    pub(crate) ablate: AblateArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SlurmPredictArgs {
    #[command(flatten)]
    pub(crate) predict: PredictArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Number of tasks that the studies are dealt out to.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), help_heading = "Slurm")]
    pub(crate) shards: u32,
}
