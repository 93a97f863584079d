//! `bipvl ablate`: trains the method with one component changed at a time, over several seeds, and compares.
//!
//! Every run is an ordinary run folder, `OUT/ROW/seed-N`, trained in a child process, so that its peak memory can be
//! measured. Finished runs are skipped, interrupted ones are resumed.

mod job;
mod named_encoder;
mod prompted;
mod rows;
mod study;
mod train;

use anyhow::{Result, bail};
use bipvl::{data::Dataset, train::ablation::Ablation};
use bipvl_report::ablation::AblationTable;

use super::{
    memory,
    train::{config_and_descriptions, dataset_overrides, is_prompted, time_budget},
};
use crate::args::{AblateArgs, TrainArgs, missing_argument, usage_error};
use job::{Job, Row};
pub(crate) use named_encoder::NamedEncoder;
use study::Study;

/// Trains and evaluates all unfinished runs, then writes the table.
pub(crate) fn run(args: &AblateArgs) -> Result<()> {
    if is_prompted(args.config.as_deref())? {
        return prompted::run(args);
    }
    if args.descriptions.is_none() && args.recipe.is_none() {
        missing_argument("--descriptions <FILE>");
    }
    let rows = rows::all(args).unwrap_or_else(|message| usage_error(&message));
    if let Some(name) = &args.only {
        return train::run(args, &Job::parse(name, &rows)?);
    }
    // Refuse bad flags before anything is written.
    memory::check(args.memory_budget, args.device)?;
    args.device.open()?;
    time_budget(args.max_minutes)?;
    let study = study(args, rows)?;
    run_jobs(args, &study.jobs(), &|| study.table())
}

/// The names of the runs of a study, `ROW/seed-N`, which `--only` trains one by one.
pub(crate) fn run_names(args: &AblateArgs) -> Result<Vec<String>> {
    if is_prompted(args.config.as_deref())? {
        return prompted::run_names(args);
    }
    let rows = rows::all(args).unwrap_or_else(|message| usage_error(&message));
    Ok(study(args, rows)?.jobs().iter().map(Job::name).collect())
}

/// The arguments of `bipvl train` for the full method.
pub(crate) fn full_method(args: &AblateArgs) -> TrainArgs {
    train::train_args(&args.out, None, args, None)
}

fn study(args: &AblateArgs, rows: Vec<Ablation>) -> Result<Study<'_>> {
    let full = full_method(args);
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(&full)?)?;
    let (config, _) = config_and_descriptions(&full, &dataset)?;
    let seeds = (0..args.seeds).map(|index| config.train.seed.wrapping_add(index)).collect();
    Ok(Study { args, dataset, rows, seeds, config })
}

/// Trains the runs one after the other, each in a process of its own, and writes the table after each.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
fn run_jobs<R: Row>(
    args: &AblateArgs,
    jobs: &[Job<R>],
    table: &dyn Fn() -> Result<AblationTable>,
) -> Result<()> {
    let mut failed = 0;
    for (index, job) in jobs.iter().enumerate() {
        tracing::info!("{} of {}: {}", index + 1, jobs.len(), job.folder(&args.out).display());
        if let Err(error) = job.train_in_child() {
            failed += 1;
            tracing::error!("{error:#}");
        }
        table()?.write(&args.out)?;
    }
    let table = table()?;
    table.write(&args.out)?;
    print!("{}", table.page().markdown());
    tracing::info!("table in {}", args.out.join("ablation.html").display());
    if failed > 0 {
        bail!("{failed} of {} runs failed; run the same command again to retry them", jobs.len());
    }
    Ok(())
}
