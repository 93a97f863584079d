//! The text of a job script.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{ArgMatches, parser::ValueSource};

use crate::{args::JobArgs, interrupt, shell::quote};

/// GB of a task whose memory cannot be estimated.
const DEFAULT_GB: u32 = 16;
/// GB for the validation of whole cases, beside training steps.
const VALIDATION_GB: f64 = 4.0;

/// What a script asks for and runs.
pub(super) struct Script<'a> {
    pub(super) job: &'a JobArgs,
    /// The output folder, after which the job is named.
    pub(super) out: &'a Path,
    /// Processes of a task of the array.
    pub(super) tasks: u16,
    /// How srun starts processes of MPI.
    pub(super) mpi: Option<&'a str>,
    /// Number of tasks of the array.
    pub(super) array: Option<usize>,
    pub(super) memory: Memory,
    /// What a user should know.
    pub(super) notes: Vec<String>,
    pub(super) lines: Lines,
}

/// Memory of a process.
pub(super) struct Memory {
    gb: u32,
    note: Option<String>,
}

/// The arguments of the program, a flag with its value in each line.
pub(super) enum Lines {
    Always(Vec<String>),
    /// Two commands, for a run that exists and for a new one.
    IfExists {
        file: PathBuf,
        then: Vec<String>,
        otherwise: Vec<String>,
    },
    /// One command for the runs of an array.
    EachOf {
        runs: Vec<String>,
        lines: Vec<String>,
    },
}

impl Memory {
    /// Of the flag, or else a value that is enough for most.
    pub(super) fn of_flag_or_default(job: &JobArgs) -> Self {
        Self { gb: job.mem_gb.unwrap_or(DEFAULT_GB), note: None }
    }

    /// Of a training whose steps need so much.
    pub(super) fn of_training(gb: f64) -> Self {
        let note = format!(
            "Memory: {gb:.1} GB for training steps by estimate, the rest for the validation of whole cases."
        );
        Self { gb: (gb + VALIDATION_GB).ceil() as u32, note: Some(note) }
    }
}

impl Script<'_> {
    /// The script; `given` are the arguments of `bipvl slurm NAME`.
    ///
    /// # Errors
    ///
    /// When the path of this program or the current directory is unknown.
    pub(super) fn text(&self, name: &str, given: &ArgMatches) -> Result<String> {
        let mut lines = vec!["#!/bin/bash".to_owned()];
        lines.extend(self.options()?.iter().map(|option| format!("#SBATCH {option}")));
        lines.push(String::new());
        lines.push(format!("# Written by `bipvl slurm {name}`; submit it with `sbatch`."));
        let notes = self.notes.iter().chain(&self.memory.note);
        lines.extend(notes.map(|note| format!("# {note}")));
        lines.push("set -u".to_owned());
        lines.extend(self.job.setup.iter().cloned());
        lines.push(String::new());
        lines.extend(self.lines.text());
        lines.push(String::new());
        lines.extend(self.run(given)?);
        Ok(lines.join("\n") + "\n")
    }

    fn options(&self) -> Result<Vec<String>> {
        let name = self.out.file_name().unwrap_or_default().to_string_lossy();
        let folder = env::current_dir().context("the current directory is unknown")?;
        let gb = self.memory.gb;
        let memory = if self.tasks > 1 {
            // `--mem` is that of a node, however many processes it gets.
            format!("--mem-per-cpu={}M", (u64::from(gb) * 1000).div_ceil(u64::from(self.job.cpus_per_task)))
        } else {
            format!("--mem={gb}G")
        };
        let log = if self.array.is_some() { "%x-%A_%a.log" } else { "%x-%j.log" };
        let mut options = vec![
            format!("--job-name={}", quote(&format!("bipvl-{name}"))),
            format!("--chdir={}", quote(&folder.display().to_string())),
            format!("--ntasks={}", self.tasks),
            format!("--cpus-per-task={}", self.job.cpus_per_task),
            memory,
            format!("--time={}", quote(&self.job.time)),
            format!("--signal=TERM@{}", self.job.grace_s),
            "--requeue".to_owned(),
            "--open-mode=append".to_owned(),
            format!("--output={log}"),
        ];
        if let Some(tasks) = self.array {
            options.insert(2, format!("--array=0-{}", tasks - 1));
        }
        options.extend(self.job.sbatch.iter().cloned());
        Ok(options)
    }

    /// Runs the program as a step, and queues the job again if it was interrupted.
    fn run(&self, given: &ArgMatches) -> Result<Vec<String>> {
        let program = env::current_exe().context("the path of this program is unknown")?;
        let mut command = vec!["srun --cpus-per-task=\"$SLURM_CPUS_PER_TASK\"".to_owned()];
        if let Some(mpi) = self.mpi {
            command.push(format!("--mpi={} --kill-on-bad-exit=1", quote(mpi)));
        }
        command.push(quote(&program.display().to_string()));
        let global = |id: &str| {
            let is_given = given.value_source(id) == Some(ValueSource::CommandLine);
            given.get_raw(id).filter(|_| is_given)?.next()?.to_str().map(quote)
        };
        let threads = global("threads").unwrap_or_else(|| "\"$SLURM_CPUS_PER_TASK\"".to_owned());
        command.push(format!("--threads {threads}"));
        command.extend(global("log_format").map(|format| format!("--log-format {format}")));
        command.push("\"${arguments[@]}\"".to_owned());
        let interrupted = interrupt::EXIT_CODE;
        // The last task of an array has the job id of the array, by which Slurm would queue all tasks again.
        let job = match self.array {
            Some(_) => "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}",
            None => "$SLURM_JOB_ID",
        };
        Ok(vec![
            "# A step, because Slurm signals steps before the time limit and at a preemption.".to_owned(),
            command.join(" "),
            "code=$?".to_owned(),
            format!("# {interrupted}: stopped by a signal, with what was done in whole files."),
            format!("if ((code == {interrupted})); then"),
            format!("    scontrol requeue \"{job}\""),
            "fi".to_owned(),
            "exit \"$code\"".to_owned(),
        ])
    }
}

impl Lines {
    fn text(&self) -> Vec<String> {
        match self {
            Self::Always(lines) => array("arguments", lines, ""),
            Self::IfExists { file, then, otherwise } => {
                let mut text = vec![format!("if [[ -e {} ]]; then", quote(&file.display().to_string()))];
                text.extend(array("arguments", then, "    "));
                text.push("else".to_owned());
                text.extend(array("arguments", otherwise, "    "));
                text.push("fi".to_owned());
                text
            }
            Self::EachOf { runs, lines } => {
                let mut text = array("runs", runs, "");
                text.extend(array("arguments", lines, ""));
                text
            }
        }
    }
}

/// An array of the shell with an element or two in each line.
fn array(name: &str, lines: &[String], indent: &str) -> Vec<String> {
    let first = format!("{indent}{name}=(");
    let last = format!("{indent})");
    let elements = lines.iter().map(|line| format!("{indent}    {line}"));
    std::iter::once(first).chain(elements).chain([last]).collect()
}
