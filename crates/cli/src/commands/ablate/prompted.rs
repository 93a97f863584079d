//! `bipvl ablate` of the prompted form.

use std::{fs, path::absolute};

use anyhow::{Context, Result, bail};
use bipvl::{
    infer::PatchCost,
    nn::{TokenBatch, prompts::COORDINATE_CHANNELS},
    prompts::{
        PromptRun, PromptRunSpec, ablation::PromptAblation, config::PromptConfig,
        evaluation::PromptedEvaluation,
    },
    text::Synonyms,
    train::run::RunLock,
};
use bipvl_metrics::median;
use bipvl_report::{
    ablation::{AblationRow, AblationTable, FinishedRun, RunCost},
    history::History,
};
use burn::tensor::Device;

use super::{
    NamedEncoder,
    job::{COST, Job, Row},
    run_jobs,
    train::train_args,
};
use crate::{
    args::AblateArgs,
    commands::train::{
        config_file, evaluate_prompted, open_sets, time_budget, train_options, train_prompted,
    },
    interrupt,
    process_memory::peak_mib,
};

/// What the rows of the prompted form leave out.
const NOTES: [&str; 2] = [
    "Classes: the trained names of all concepts, which a network can learn as arbitrary codes. Held-out phrases, which \
     only a network that reads can answer, are in `bipvl probe --model ROW/seed-N`.",
    "Per patch: with all these names as prompts.",
];

/// Trains and evaluates all unfinished runs, then writes the table.
pub(super) fn run(args: &AblateArgs) -> Result<()> {
    if args.memory_budget.is_some() {
        bail!("--memory-budget is for model.head = \"channels\"");
    }
    let rows = rows(args)?;
    if let Some(name) = &args.only {
        return train(args, &Job::parse(name, &rows)?);
    }
    args.device.open()?;
    time_budget(args.max_minutes)?;
    let config = full_config(args)?;
    let seeds = seeds(args, &config);
    let jobs_of = |row: &PromptAblation| jobs_of(row, &seeds);
    let jobs: Vec<Job<PromptAblation>> =
        rows.iter().filter(|row| is_selected(args, row)).flat_map(jobs_of).collect();
    refuse_others(args, &jobs, &config)?;
    run_jobs(args, &jobs, &|| {
        let mut table = Vec::new();
        for row in &rows {
            let mut finished = Vec::new();
            for job in jobs_of(row).iter().filter(|job| job.is_finished(&args.out)) {
                finished.extend(finished_run(args, job, &config)?);
            }
            if !finished.is_empty() || is_selected(args, row) {
                table.push(AblationRow::new(row.label(), &finished, "no finished run".to_owned()));
            }
        }
        let sets: Vec<String> = config.data.set.iter().map(|set| set.name.clone()).collect();
        let table = AblationTable::new(sets.join(", "), "held-out cases".to_owned(), seeds.clone(), table);
        Ok(table.with_notes(NOTES.map(str::to_owned).to_vec()))
    })
}

/// The names of the runs of a study.
pub(super) fn run_names(args: &AblateArgs) -> Result<Vec<String>> {
    let seeds = seeds(args, &full_config(args)?);
    let rows = rows(args)?;
    let jobs = rows.iter().filter(|row| is_selected(args, row)).flat_map(|row| jobs_of(row, &seeds));
    Ok(jobs.map(|job| job.name()).collect())
}

fn is_selected(args: &AblateArgs, row: &PromptAblation) -> bool {
    args.rows.is_empty() || args.rows.contains(&row.name.to_string())
}

fn seeds(args: &AblateArgs, config: &PromptConfig) -> Vec<u64> {
    (0..args.seeds).map(|index| config.train.seed.wrapping_add(index)).collect()
}

fn jobs_of(row: &PromptAblation, seeds: &[u64]) -> Vec<Job<PromptAblation>> {
    seeds.iter().map(|seed| Job { row: row.clone(), seed: *seed }).collect()
}

fn rows(args: &AblateArgs) -> Result<Vec<PromptAblation>> {
    let mut rows = PromptAblation::built_in();
    for NamedEncoder { name, folder } in &args.encoders {
        let folder = absolute(folder).with_context(|| folder.display().to_string())?;
        rows.push(PromptAblation::with_text_encoder(name.clone(), folder));
    }
    let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
    if let Some(unknown) = args.rows.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("--rows: unknown row `{unknown}`; known rows: {}", names.join(", "));
    }
    Ok(rows)
}

fn full_config(args: &AblateArgs) -> Result<PromptConfig> {
    Ok(config_file(&train_args(&args.out, None, args, None))?.resolve()?)
}

/// Refuses an existing run that was trained with another configuration than that of the study.
fn refuse_others(args: &AblateArgs, jobs: &[Job<PromptAblation>], full: &PromptConfig) -> Result<()> {
    for job in jobs {
        let folder = job.folder(&args.out);
        if !PromptRun::exists_in(&folder) {
            continue;
        }
        let keys = PromptRun::open(&folder)?.config.differences(&requested(job, full));
        if !keys.is_empty() {
            let folder = folder.display();
            bail!("{folder}: trained with other values of {}; use another --out", keys.join(", "));
        }
    }
    Ok(())
}

/// The configuration of a run.
fn requested(job: &Job<PromptAblation>, full: &PromptConfig) -> PromptConfig {
    let mut config = job.row.config(full.clone());
    config.train.seed = job.seed;
    config
}

/// The result of a run; `None` where it was trained with another configuration than that of the study.
fn finished_run(
    args: &AblateArgs,
    job: &Job<PromptAblation>,
    full: &PromptConfig,
) -> Result<Option<FinishedRun>> {
    let run = PromptRun::open(&job.folder(&args.out))?;
    if !run.config.differences(&requested(job, full)).is_empty() {
        return Ok(None);
    }
    Ok(Some(job.read(&args.out, &PromptedEvaluation::class_names(&run))?))
}

/// Starts, resumes or skips a run.
fn train(args: &AblateArgs, job: &Job<PromptAblation>) -> Result<()> {
    interrupt::install();
    let device = args.device.open()?;
    let budget = time_budget(args.max_minutes)?;
    let folder = job.folder(&args.out);
    let config = requested(job, &full_config(args)?);
    let sets = open_sets(&config)?;
    let run = if PromptRun::exists_in(&folder) {
        PromptRun::open(&folder)?
    } else {
        let source = args.config.clone();
        let spec = PromptRunSpec { config, sets: &sets, synonyms: &Synonyms::builtin(), source, from: None };
        PromptRun::create(&folder, spec)?
    };
    let _lock = RunLock::acquire(&run.dir)?;
    if !run.path(COST).exists() {
        train_prompted(&run, &sets, train_options(budget, &device))?;
        cost(&run, &device)?.write(&run.path(COST))?;
        // The cases of one run are as large as those of all others.
        fs::remove_dir_all(run.path("cache")).with_context(|| run.path("cache").display().to_string())?;
    }
    if !job.is_finished(&args.out) {
        evaluate_prompted(&run, &sets, &device, &[("row", job.description())])?;
    }
    Ok(())
}

/// Cost of a run that this process has just trained, with all its concepts as prompts.
fn cost(run: &PromptRun, device: &Device) -> Result<RunCost> {
    // Before anything else allocates.
    let peak_mib = peak_mib();
    let network = run.network(device)?;
    let names = PromptedEvaluation::class_names(run);
    let prompts = TokenBatch::new(&run.tokenizer.encode(&names), device);
    let channels = 1 + if network.reads_coordinates() { COORDINATE_CHANNELS } else { 0 };
    let patch = run.config.patch_size();
    let of_patch = PatchCost::measure_prompts(&network, &prompts, patch, channels, device);
    let steps = History::read(&run.path("log.jsonl"))?.steps;
    Ok(RunCost {
        parameters: network.patch_cost(patch, 1, 1).parameters,
        gflop_per_patch: of_patch.gflop,
        seconds_per_step: median(steps.iter().filter_map(|step| step.seconds).collect()),
        seconds_per_patch: of_patch.seconds,
        text_share: of_patch.text_share,
        peak_mib,
    })
}
