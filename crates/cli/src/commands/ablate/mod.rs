//! `bipvl ablate`: trains the method with one switch turned at a time, several seeds each, and compares.
//!
//! Every run is an ordinary run folder, `OUT/ROW/seed-N`, and is trained in a process of its own, so that its
//! peak of memory is its own. A run that is done is not trained again, one that was interrupted goes on.

mod cost;
mod page;
mod row;
mod table;

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use bipvl::{data::Dataset, device::Precision, run::Run};

use super::{
    judge::judge,
    memory,
    train::{Outset, command_line, imported, learn, options, plan, time_budget, wanted, words},
};
use crate::args::{AblateArgs, TrainArgs};
use cost::Cost;
pub(crate) use row::Row;
use row::{FULL, ROWS, Texts};
use table::Table;

/// Written when a run is trained; the report, which a judgment writes last, says that it is judged.
const COST: &str = "cost.json";
const REPORT: &str = "report.html";

/// One row with one seed.
#[derive(Clone, Copy, Debug)]
struct Job {
    row: &'static Row,
    seed: u64,
}

/// Trains and judges what is not done yet, then writes the table.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn run(args: &AblateArgs) -> Result<()> {
    if let Some(name) = &args.only {
        return train_here(args, Job::named(name)?);
    }
    // Before anything is written: a refused flag leaves no half-begun run.
    memory::check(args.memory_budget, args.device)?;
    args.device.open()?;
    time_budget(args.max_minutes)?;
    let dataset = Dataset::read(&args.data, &wanted(&Job { row: FULL, seed: 0 }.flags(args, None))?)?;
    let jobs = jobs(args, &dataset)?;
    let mut failed = 0;
    for (index, job) in jobs.iter().enumerate() {
        tracing::info!("{} of {}: {}", index + 1, jobs.len(), job.folder(args).display());
        if let Err(error) = train_elsewhere(*job) {
            failed += 1;
            tracing::error!("{error:#}");
        }
        Table::gather(args, &dataset)?.write(&args.out)?;
    }
    let table = Table::gather(args, &dataset)?;
    table.write(&args.out)?;
    print!("{}", table.page().markdown());
    tracing::info!("table in {}", args.out.join("ablation.html").display());
    if failed > 0 {
        bail!("{failed} of {} runs failed; the same command goes on with them", jobs.len());
    }
    Ok(())
}

/// The rows that were asked for; all when none was.
fn chosen(args: &AblateArgs) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(|row| args.rows.is_empty() || args.rows.iter().any(|asked| asked.name == row.name))
}

/// The seeds of every row, beginning with that of the configuration.
fn seeds(args: &AblateArgs, dataset: &Dataset) -> Result<Vec<u64>> {
    let first = plan(&Job { row: FULL, seed: 0 }.flags(args, None), dataset)?.0.train.seed;
    Ok((0..args.seeds).map(|number| first.wrapping_add(number)).collect())
}

/// Rows one after another; those that lack something are told of.
fn jobs(args: &AblateArgs, dataset: &Dataset) -> Result<Vec<Job>> {
    let seeds = seeds(args, dataset)?;
    let mut jobs = Vec::new();
    for row in chosen(args) {
        match row.lacks(args, dataset) {
            Some(what) => tracing::warn!("{}: not run, needs {what}", row.name),
            None => jobs.extend(seeds.iter().map(|seed| Job { row, seed: *seed })),
        }
    }
    Ok(jobs)
}

/// One run in a process of its own, by the same command.
fn train_elsewhere(job: Job) -> Result<()> {
    let name = job.name();
    let mut command = Command::new(env::current_exe().context("the path of this program")?);
    command.args(env::args_os().skip(1)).args(["--only", &name]).stdout(Stdio::null());
    let status = command.status().with_context(|| name.clone())?;
    if !status.success() {
        bail!("{name}: its process ended with {status}");
    }
    Ok(())
}

/// One run in this process: begun, gone on with, or left as it is when it is done.
fn train_here(args: &AblateArgs, job: Job) -> Result<()> {
    let device = args.device.open()?;
    let budget = time_budget(args.max_minutes)?;
    let flags = job.flags(args, Some(job.seed));
    let dataset = Dataset::read(&args.data, &wanted(&flags)?)?;
    let imported = imported(&flags, dataset.labeling().outputs())?;
    // What fits into memory is chosen for the full method, so that rows differ in nothing but their switch.
    let Outset { config, descriptions, of_cases: own } = Outset::new(&flags, &dataset, &[])?;
    let texts = job.row.texts(Texts { common: descriptions, of_cases: own.clone() }, job.seed);
    let Texts { common, of_cases } = texts.with_context(|| format!("{}: needs two classes", job.row.name))?;
    let config = job.row.config(config);
    let mut run = Run::resume_or_create(&flags.out, config, common, &words(&of_cases), &imported)?;
    if of_cases != own {
        run.write_case_descriptions(&of_cases)?;
    }
    // All runs prepare the same cases in the same way.
    run.cache = args.out.join("cache");
    let split = run.split(&dataset)?;
    if !run.path(COST).exists() {
        let goes_on = run.last_checkpoint().exists();
        learn(goes_on, &run, &dataset, &split, options(imported, budget, &device))?;
        Cost::measure(&run, &device)?.write(&run.path(COST))?;
    }
    if !run.path(REPORT).exists() {
        let row = format!("{}: {}", job.row.factor, job.row.what);
        judge(&run, split.judged(), &device, &[("command", command_line()), ("row", row)])?;
    }
    Ok(())
}

impl Job {
    /// From `ROW/seed-N`.
    fn named(name: &str) -> Result<Self> {
        let parsed = name
            .split_once("/seed-")
            .and_then(|(row, seed)| Some(Self { row: Row::named(row).ok()?, seed: seed.parse().ok()? }));
        parsed.with_context(|| format!("--only: expected ROW/seed-N, found \"{name}\""))
    }

    fn name(self) -> String {
        format!("{}/seed-{}", self.row.name, self.seed)
    }

    fn folder(self, args: &AblateArgs) -> PathBuf {
        args.out.join(self.name())
    }

    /// What `bipvl train` would be asked for; without a seed, the configuration has its own.
    fn flags(self, args: &AblateArgs, seed: Option<u64>) -> TrainArgs {
        TrainArgs {
            data: args.data.clone(),
            experiment: args.experiment,
            descriptions: args.descriptions.clone(),
            out: self.folder(args),
            preset: args.preset,
            config: args.config.clone(),
            text_encoder: self.row.text_encoder(args).map(ToOwned::to_owned),
            weights: None,
            val_fold: args.val_fold.clone(),
            folds: None,
            steps: args.steps,
            seed,
            max_minutes: args.max_minutes,
            memory_budget: args.memory_budget,
            resume: false,
            device: args.device,
            precision: Precision::Float32,
        }
    }
}
