//! `bipvl train` with `model.head = "prompts"`: several data sets, one network, any prompt.

use std::{ops::ControlFlow, sync::Arc};

use anyhow::{Context, Result, bail};
use bipvl::{
    prompts::{PromptRun, config::PromptConfig, sets::OpenSet, train::train},
    train::{
        Start,
        checkpoint::read_progress,
        run::{RunLock, TrainOptions},
    },
};

use super::{
    command_line, open_device, prompted_config::refuse_other_flags, prompted_create::create, prompted_log,
    prompted_report::evaluate_prompted, time_budget, train_options,
};
use crate::{
    args::TrainArgs,
    commands::{run_log::RunLog, vocabulary::table},
    interrupt, progress, ranks,
};

/// Trains, or goes on with a training.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    refuse_other_flags(args)?;
    let device = open_device(args)?;
    let time_budget = time_budget(args.max_minutes)?;
    let ranks = ranks::communicator();
    let (run, sets) = if args.resume {
        resume(args)?
    } else if ranks.is_main() {
        create(args)?
    } else {
        ranks.barrier();
        resume(args)?
    };
    let _lock = ranks.is_main().then(|| RunLock::acquire(&run.dir)).transpose()?;
    if ranks.is_main() && !args.resume {
        ranks.barrier();
    }
    train_prompted(&run, &sets, train_options(time_budget, &device))?;
    if !ranks.is_main() {
        return Ok(());
    }
    evaluate_prompted(&run, &sets, &device, &[("command", command_line())])?;
    let out = run.dir.display();
    tracing::info!("run in {out}; ask it with `bipvl predict --model {out} --out MASKS --prompt TEXT SCAN`");
    Ok(())
}

/// Trains from the last checkpoint or from the start, with a progress bar and a log.
pub(crate) fn train_prompted(run: &PromptRun, sets: &[OpenSet], options: TrainOptions) -> Result<()> {
    tracing::info!("concepts and data sets\n{}", table(&run.vocabulary));
    for (set, ids) in run.split_ids()? {
        tracing::info!("{set}: {} training and {} validation cases", ids.train.len(), ids.val.len());
    }
    let ranks = Arc::clone(&options.communicator);
    if ranks.size() > 1 {
        let samples = run.config.train.samples_per_step() * ranks.size();
        tracing::info!("{} processes, {samples} samples a step", ranks.size());
    }
    // What the first has preprocessed, the others find.
    if !ranks.is_main() {
        ranks.barrier();
    }
    let bar = progress::bar("preprocessing", run.num_cases()?);
    let setup = run.train_setup(sets, options, &|done| {
        bar.set_position(done as u64);
        interrupt::poll()
    })?;
    bar.finish_and_clear();
    if ranks.is_main() {
        ranks.barrier();
    }
    let start = run.start();
    let step = match start {
        Start::Fresh => 0,
        Start::Resume => read_progress(&run.last_checkpoint())?.step,
    };
    let open_log = || RunLog::open(&run.dir, step, run.config.train.max_steps);
    let mut log = ranks.is_main().then(open_log).transpose()?;
    let mut log_result = Ok(());
    let state = train(&setup, start, &mut |event| {
        if let (Some(log), true) = (&mut log, log_result.is_ok()) {
            log_result = prompted_log::write(log, &event);
        }
        if log_result.is_err() { ControlFlow::Break(()) } else { interrupt::poll() }
    })?;
    log_result.context("the log cannot be written, so the training stopped with a checkpoint")?;
    log.map_or(Ok(()), RunLog::finish)?;
    if interrupt::is_requested() {
        bail!("interrupted at step {}; continue with --resume", state.progress.step);
    }
    Ok(())
}

fn resume(args: &TrainArgs) -> Result<(PromptRun, Vec<OpenSet>)> {
    let run = PromptRun::open(&args.out)?;
    let sets = open_sets(&run.config)?;
    Ok((run, sets))
}

pub(crate) fn open_sets(config: &PromptConfig) -> Result<Vec<OpenSet>> {
    Ok(config.data.set.iter().map(OpenSet::open).collect::<Result<_, _>>()?)
}
