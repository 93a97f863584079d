//! Trains and evaluates one run of a study in this process.

use std::path::Path;

use anyhow::Result;
use bipvl::{data::Dataset, device::Precision, infer::PatchCost, run::RunDir, train::ablation::Ablation};
use bipvl_metrics::median;
use bipvl_report::{ablation::RunCost, history::History};
use burn::tensor::Device;

use super::job::{COST, Job, REPORT};
use crate::{
    args::{AblateArgs, TrainArgs},
    commands::{
        evaluate_run::evaluate_run,
        train::{
            command_line, dataset_overrides, run_spec, run_training, time_budget, train_options, with_hint,
        },
    },
    interrupt,
    process_memory::peak_mib,
};

/// Starts, resumes or skips the run.
pub(super) fn run(args: &AblateArgs, job: &Job<Ablation>) -> Result<()> {
    interrupt::install();
    let device = args.device.open()?;
    let budget = time_budget(args.max_minutes)?;
    let flags = train_args(&job.folder(&args.out), job.row.text_encoder(), args, Some(job.seed));
    let dataset = Dataset::read(args.data_set(), &dataset_overrides(&flags)?)?;
    // The memory budget is fitted to the full method, so that rows differ in one component only.
    let full = run_spec(&TrainArgs { pretrained_text_encoder: None, ..flags.clone() }, &dataset)?;
    let own_descriptions = full.case_descriptions.clone();
    let spec = job.row.apply(full, job.seed)?;
    let mut run = RunDir::resume_or_create(&flags.out, &spec, &dataset).map_err(with_hint)?;
    let _lock = run.lock()?;
    if spec.case_descriptions != own_descriptions {
        run.write_case_descriptions(&spec.case_descriptions)?;
    }
    // All runs share the preprocessed cases.
    run.cache = args.out.join("cache");
    let split = run.split(&dataset)?;
    if !run.path(COST).exists() {
        run_training(&run, &dataset, &split, train_options(budget, &device))?;
        measure(&run, &device)?.write(&run.path(COST))?;
    }
    if !run.path(REPORT).exists() {
        let settings = [("command", command_line()), ("row", job.description())];
        evaluate_run(&run, split.evaluation_cases(), &device, &settings)?;
    }
    Ok(())
}

/// The equivalent arguments of `bipvl train`; without `seed`, that of the configuration applies.
pub(super) fn train_args(
    out: &Path,
    text_encoder: Option<&Path>,
    args: &AblateArgs,
    seed: Option<u64>,
) -> TrainArgs {
    TrainArgs {
        data: args.data.clone(),
        head: None,
        from: None,
        recipe: args.recipe,
        descriptions: args.descriptions.clone(),
        out: out.to_owned(),
        model_size: args.model_size,
        config: args.config.clone(),
        pretrained_text_encoder: text_encoder.map(ToOwned::to_owned),
        pretrained_backbone: None,
        val_fold: args.val_fold.clone(),
        folds: None,
        only_fold: None,
        steps: args.steps,
        seed,
        max_minutes: args.max_minutes,
        memory_budget: args.memory_budget,
        resume: false,
        device: args.device,
        precision: Precision::Float32,
    }
}

/// Cost of a run that this process has just trained.
fn measure(run: &RunDir, device: &Device) -> Result<RunCost> {
    // Before anything else allocates.
    let peak_mib = peak_mib();
    let network = run.model.network(device)?;
    let text = run.model.text(device);
    let (patch, channels) = (run.config.preprocess.patch_size, run.config.model.vision.in_channels());
    let of_patch = PatchCost::measure(&network, &text, patch, channels, device);
    let steps = History::read(&run.path("log.jsonl"))?.steps;
    Ok(RunCost {
        parameters: run.trained_parameters(&network),
        gflop_per_patch: of_patch.gflop,
        seconds_per_step: median(steps.iter().filter_map(|step| step.seconds).collect()),
        seconds_per_patch: of_patch.seconds,
        text_share: of_patch.text_share,
        peak_mib,
    })
}
