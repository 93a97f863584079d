//! `bipvl slurm`: prints the script of a Slurm job.
//!
//! The program runs as a step of the job (`srun`), because Slurm signals steps before the time limit and at a preemption,
//! and the shell of a job only if asked to. It stops with a checkpoint, or after whole results, and the exit code of an
//! interrupted command; the script then queues the job again.

mod estimate;
mod script;
mod words;

use anyhow::{Result, bail};
use clap::{ArgMatches, CommandFactory};

use crate::{
    args::{
        AblateArgs, Cli, JobArgs, PredictArgs, SlurmAblateArgs, SlurmArgs, SlurmCommand, SlurmFoldsArgs,
        SlurmPredictArgs, SlurmTrainArgs, TrainArgs, missing_argument,
    },
    commands::{ablate, train::is_prompted_training},
    remote::is_url,
    shell::quote,
};
use script::{Lines, Memory, Script};
use words::command_line;

/// Prints the script.
#[expect(clippy::print_stdout, reason = "the script is the output of the command")]
pub(crate) fn run(args: &SlurmArgs) -> Result<()> {
    // The arguments as they were given.
    let matches = Cli::command().get_matches();
    let Some((name, given)) = matches.subcommand_matches("slurm").and_then(ArgMatches::subcommand) else {
        bail!("the command line has no command for the job");
    };
    let script = match &args.command {
        SlurmCommand::Train(args) => train(args, given)?,
        SlurmCommand::Folds(args) => folds(args, given)?,
        SlurmCommand::Ablate(args) => ablate(args, given)?,
        SlurmCommand::Predict(args) => predict(args, given)?,
    };
    print!("{}", script.text(name, given)?);
    Ok(())
}

fn train<'a>(args: &'a SlurmTrainArgs, given: &ArgMatches) -> Result<Script<'a>> {
    let train = &args.train;
    if train.folds.is_some() {
        bail!("--folds: `bipvl slurm folds` has a task for each fold");
    }
    if is_url(&train.out.to_string_lossy()) {
        bail!("--out: a script cannot see whether there is a run at a URL; give a folder of the cluster");
    }
    let lines = command_line::<TrainArgs>("train", given, |_| true)?;
    let lines = if train.resume {
        Lines::Always(lines)
    } else {
        // Of a run that knows its data sets, the folders are not given again.
        let is_prompted = is_prompted_training(train)?;
        let stays = |id: &str| {
            let of_data = !is_prompted && id == "data";
            of_data || ["out", "max_minutes", "device", "precision"].contains(&id)
        };
        let mut resumed = command_line::<TrainArgs>("train", given, stays)?;
        resumed.push("--resume".to_owned());
        Lines::IfExists { file: train.out.join("config.toml"), then: resumed, otherwise: lines }
    };
    Ok(Script {
        job: &args.job,
        out: &train.out,
        tasks: args.ntasks,
        mpi: (args.ntasks > 1).then_some(args.mpi.as_str()),
        array: None,
        memory: memory(train, &args.job),
        notes: vec!["A task that is stopped leaves a checkpoint, is queued again, and goes on.".to_owned()],
        lines,
    })
}

fn folds<'a>(args: &'a SlurmFoldsArgs, given: &ArgMatches) -> Result<Script<'a>> {
    let train = &args.train;
    let Some(count) = train.folds else { missing_argument("--folds <N>") };
    if is_prompted_training(train)? {
        bail!("--folds is for model.head = \"channels\"");
    }
    let mut lines = command_line::<TrainArgs>("train", given, |_| true)?;
    lines.push("--only-fold \"$SLURM_ARRAY_TASK_ID\"".to_owned());
    Ok(Script {
        job: &args.job,
        out: &train.out,
        tasks: 1,
        mpi: None,
        array: Some(count.into()),
        memory: memory(train, &args.job),
        notes: vec!["A task for each fold; the last to finish scores all cases together.".to_owned()],
        lines: Lines::Always(lines),
    })
}

fn ablate<'a>(args: &'a SlurmAblateArgs, given: &ArgMatches) -> Result<Script<'a>> {
    let study = &args.ablate;
    if study.only.is_some() {
        bail!("--only: the script has a task for each run");
    }
    let names = ablate::run_names(study)?;
    if names.is_empty() {
        bail!("no row can be trained");
    }
    let mut lines = command_line::<AblateArgs>("ablate", given, |_| true)?;
    let table = lines.join(" ");
    lines.push("--only \"${runs[SLURM_ARRAY_TASK_ID]}\"".to_owned());
    Ok(Script {
        job: &args.job,
        out: &study.out,
        tasks: 1,
        mpi: None,
        array: Some(names.len()),
        memory: memory(&ablate::full_method(study), &args.job),
        notes: vec![
            "A task for each row and seed. Then, for the table of all: srun bipvl \\".to_owned(),
            format!("  {table}"),
        ],
        lines: Lines::EachOf { runs: names.iter().map(|name| quote(name)).collect(), lines },
    })
}

fn predict<'a>(args: &'a SlurmPredictArgs, given: &ArgMatches) -> Result<Script<'a>> {
    let predict = &args.predict;
    if predict.shard.shard.is_some() {
        bail!("--shard: the script has a task for each of --shards N");
    }
    if predict.overwrite || predict.dicom.deidentify {
        bail!("--overwrite and --deidentify are not for shards, which skip what is done");
    }
    let mut lines = command_line::<PredictArgs>("predict", given, |_| true)?;
    // Not the number of tasks of the array, which is another when some are run again.
    lines.push(format!("--shard \"$SLURM_ARRAY_TASK_ID/{}\"", args.shards));
    let out = quote(&predict.out.display().to_string());
    Ok(Script {
        job: &args.job,
        out: &predict.out,
        tasks: 1,
        mpi: None,
        array: Some(args.shards as usize),
        memory: Memory::of_flag_or_default(&args.job),
        notes: vec![format!(
            "Then `bipvl merge {out}` says what became of all studies, and which tasks to run again."
        )],
        lines: Lines::Always(lines),
    })
}

/// Memory of a task that trains.
fn memory(train: &TrainArgs, job: &JobArgs) -> Memory {
    if job.mem_gb.is_some() {
        return Memory::of_flag_or_default(job);
    }
    match estimate::training_gb(train, job.cpus_per_task.into()) {
        Ok(Some(gb)) => Memory::of_training(gb),
        Ok(None) => Memory::of_flag_or_default(job),
        Err(error) => {
            tracing::warn!("the memory of the training is not known here ({error:#}); --mem-gb sets it");
            Memory::of_flag_or_default(job)
        }
    }
}
