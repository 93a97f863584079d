//! `bipvl ablate`: trains the method with one component changed at a time, over several seeds, and compares.
//!
//! Every run is an ordinary run folder, `OUT/ROW/seed-N`, trained in a child process, so that its peak memory can be
//! measured. Finished runs are skipped, interrupted ones are resumed.

mod job;
mod named_encoder;
mod rows;
mod study;
mod train;

use anyhow::{Result, bail};
use bipvl::{data::Dataset, train::ablation::Ablation};

use super::{
    memory,
    train::{config_and_descriptions, dataset_overrides, time_budget},
};
use crate::args::{AblateArgs, usage_error};
use job::Job;
pub(crate) use named_encoder::NamedEncoder;
use study::Study;

/// Trains and evaluates all unfinished runs, then writes the table.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &AblateArgs) -> Result<()> {
    let rows = rows::all(args).unwrap_or_else(|message| usage_error(&message));
    if let Some(name) = &args.only {
        return train::run(args, &Job::parse(name, &rows)?);
    }
    // Refuse bad flags before anything is written.
    memory::check(args.memory_budget, args.device)?;
    args.device.open()?;
    time_budget(args.max_minutes)?;
    let full = train::train_args(&Job { row: Ablation::full(), seed: 0 }, args, None);
    let dataset = Dataset::read(&args.data, &dataset_overrides(&full)?)?;
    let (config, _) = config_and_descriptions(&full, &dataset)?;
    let seeds = (0..args.seeds).map(|index| config.train.seed.wrapping_add(index)).collect();
    let study = Study { args, dataset: &dataset, rows, seeds, config };
    let jobs = study.jobs();
    let mut failed = 0;
    for (index, job) in jobs.iter().enumerate() {
        tracing::info!("{} of {}: {}", index + 1, jobs.len(), job.folder(&args.out).display());
        if let Err(error) = job.train_in_child() {
            failed += 1;
            tracing::error!("{error:#}");
        }
        study.table()?.write(&args.out)?;
    }
    let table = study.table()?;
    table.write(&args.out)?;
    print!("{}", table.page().markdown());
    tracing::info!("table in {}", args.out.join("ablation.html").display());
    if failed > 0 {
        bail!("{failed} of {} runs failed; run the same command again to retry them", jobs.len());
    }
    Ok(())
}
