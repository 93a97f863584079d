//! `bipvl ablate`: trains the method with one component changed at a time, over several seeds, and compares.
//!
//! Every run is an ordinary run folder, `OUT/ROW/seed-N`, trained in a child process, so that its peak memory can be
//! measured. Finished runs are skipped, interrupted ones are resumed.

mod cost;
mod page;
mod row;
mod table;

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use bipvl::{config::Config, data::Dataset, device::Precision, run::RunDir};

use super::{
    evaluate_run::evaluate_run,
    memory,
    train::{
        command_line, config_and_descriptions, dataset_overrides, run_spec, run_training, time_budget,
        train_options, with_hint,
    },
};
use crate::{
    args::{AblateArgs, TrainArgs, usage_error},
    interrupt,
};
use cost::Cost;
pub(crate) use row::NamedEncoder;
use row::{Ablation, Texts};
use table::Table;

/// Written after training.
const COST: &str = "cost.json";
/// Written last, after evaluation.
const REPORT: &str = "report.html";

/// One row with one seed.
#[derive(Clone, Debug)]
struct Job {
    row: Ablation,
    seed: u64,
}

/// The rows and seeds of a study, and the configuration of the full method.
struct Study<'a> {
    args: &'a AblateArgs,
    dataset: &'a Dataset,
    rows: Vec<Ablation>,
    seeds: Vec<u64>,
    config: Config,
}

/// Trains and evaluates all unfinished runs, then writes the table.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &AblateArgs) -> Result<()> {
    let rows = row::all(args).unwrap_or_else(|message| usage_error(&message));
    if let Some(name) = &args.only {
        return train_in_process(args, &Job::parse(name, &rows)?);
    }
    // Refuse bad flags before anything is written.
    memory::check(args.memory_budget, args.device)?;
    args.device.open()?;
    time_budget(args.max_minutes)?;
    let full = Job { row: Ablation::full(), seed: 0 }.train_args(args, None);
    let dataset = Dataset::read(&args.data, &dataset_overrides(&full)?)?;
    let (config, _) = config_and_descriptions(&full, &dataset)?;
    let seeds = (0..args.seeds).map(|index| config.train.seed.wrapping_add(index)).collect();
    let study = Study { args, dataset: &dataset, rows, seeds, config };
    let jobs = study.jobs();
    let mut failed = 0;
    for (index, job) in jobs.iter().enumerate() {
        tracing::info!("{} of {}: {}", index + 1, jobs.len(), job.folder(args).display());
        if let Err(error) = train_in_child(job) {
            failed += 1;
            tracing::error!("{error:#}");
        }
        Table::gather(&study)?.write(&args.out)?;
    }
    let table = Table::gather(&study)?;
    table.write(&args.out)?;
    print!("{}", table.page().markdown());
    tracing::info!("table in {}", args.out.join("ablation.html").display());
    if failed > 0 {
        bail!("{failed} of {} runs failed; run the same command again to retry them", jobs.len());
    }
    Ok(())
}

impl Study<'_> {
    /// Whether `--rows` selects a row.
    fn selects(&self, row: &Ablation) -> bool {
        self.args.rows.is_empty() || self.args.rows.iter().any(|name| *name == row.name)
    }

    /// Runs of the selected rows; a row with a missing requirement is skipped with a warning.
    fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for row in self.rows.iter().filter(|row| self.selects(row)) {
            match row.missing_requirement(self.dataset) {
                Some(requirement) => tracing::warn!("{}: skipped, requires {requirement}", row.name),
                None => jobs.extend(self.seeds.iter().map(|seed| Job { row: row.clone(), seed: *seed })),
            }
        }
        jobs
    }
}

/// Trains one run in a child process with the same command line.
fn train_in_child(job: &Job) -> Result<()> {
    let name = job.name();
    let mut command = Command::new(env::current_exe().context("the path of this program is unknown")?);
    command.args(env::args_os().skip(1)).args(["--only", &name]).stdout(Stdio::null());
    let status = command.status().with_context(|| name.clone())?;
    if !status.success() {
        bail!("{name}: the child process ended with {status}");
    }
    Ok(())
}

/// Starts, resumes or skips one run in this process.
fn train_in_process(args: &AblateArgs, job: &Job) -> Result<()> {
    interrupt::install();
    let device = args.device.open()?;
    let budget = time_budget(args.max_minutes)?;
    let flags = job.train_args(args, Some(job.seed));
    let dataset = Dataset::read(&args.data, &dataset_overrides(&flags)?)?;
    // The memory budget is fitted to the full method, so that rows differ in one component only.
    let full = TrainArgs { pretrained_text_encoder: None, ..flags.clone() };
    let mut spec = run_spec(&full, &dataset)?;
    let own = spec.case_descriptions.clone();
    let texts = job.row.texts(Texts { common: spec.descriptions, of_cases: own.clone() }, job.seed);
    let Texts { common, of_cases } =
        texts.with_context(|| format!("{}: requires two classes", job.row.name))?;
    spec.config = job.row.config(spec.config);
    spec.config.pretrained.text_encoder =
        flags.pretrained_text_encoder.as_deref().map(std::path::absolute).transpose()?;
    spec.pretrained = Arc::new(spec.config.pretrained.load(dataset.label_schema.num_logit_channels())?);
    (spec.descriptions, spec.case_descriptions) = (common, of_cases);
    let mut run = RunDir::resume_or_create(&flags.out, &spec, &dataset).map_err(with_hint)?;
    let _lock = run.lock()?;
    if spec.case_descriptions != own {
        run.write_case_descriptions(&spec.case_descriptions)?;
    }
    // All runs share the preprocessed cases.
    run.cache = args.out.join("cache");
    let split = run.split(&dataset)?;
    if !run.path(COST).exists() {
        run_training(&run, &dataset, &split, train_options(budget, &device))?;
        Cost::measure(&run, &device)?.write(&run.path(COST))?;
    }
    if !run.path(REPORT).exists() {
        let row = format!("{}: {}", job.row.factor, job.row.setting);
        evaluate_run(&run, split.evaluation_cases(), &device, &[("command", command_line()), ("row", row)])?;
    }
    Ok(())
}

impl Job {
    /// Parses `ROW/seed-N`.
    fn parse(name: &str, rows: &[Ablation]) -> Result<Self> {
        let parsed = name.split_once("/seed-").and_then(|(row, seed)| {
            let row = rows.iter().find(|other| other.name == row)?.clone();
            Some(Self { row, seed: seed.parse().ok()? })
        });
        parsed.with_context(|| format!("--only: `{name}` is not ROW/seed-N with a known row"))
    }

    fn name(&self) -> String {
        format!("{}/seed-{}", self.row.name, self.seed)
    }

    fn folder(&self, args: &AblateArgs) -> PathBuf {
        args.out.join(self.name())
    }

    /// The equivalent arguments of `bipvl train`; without `seed`, that of the configuration applies.
    fn train_args(&self, args: &AblateArgs, seed: Option<u64>) -> TrainArgs {
        TrainArgs {
            data: args.data.clone(),
            recipe: args.recipe,
            descriptions: args.descriptions.clone(),
            out: self.folder(args),
            model_size: args.model_size,
            config: args.config.clone(),
            pretrained_text_encoder: self.row.text_encoder().map(ToOwned::to_owned),
            pretrained_backbone: None,
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
