//! `bipvl predict`: segments scans with a trained model.

mod batch;
mod inputs;
mod options;
mod outputs;
mod prompt_options;
mod protection;
mod prompted;
mod prompts;

use anyhow::{Result, bail};
use bipvl::{
    infer::{InferenceProgress, Predictor, TrainedModel, run_dirs},
    prompts::PromptRun,
};
use indicatif::ProgressBar;

use crate::{args::PredictArgs, commands::prompts as user_prompts, interrupt, progress};
use batch::segment_all;
use outputs::Job;
use prompts::CasePrompts;

/// Segments every scan; one that fails is reported, and the others go on.
pub(crate) fn run(args: &PredictArgs) -> Result<()> {
    interrupt::install();
    args.precision.check(args.device)?;
    if args.model.iter().any(|folder| PromptRun::exists_in(folder)) {
        return prompted::run(args);
    }
    let folders = args.model.iter().map(|folder| run_dirs(folder)).collect::<Result<Vec<_>, _>>()?;
    if args.prompts.is_used() {
        bail!(
            "the run has fixed classes; choose among them with --classes (prompts need model.head = \"prompts\")"
        );
    }
    let runs =
        folders.concat().iter().map(|folder| TrainedModel::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let config = options::infer_config(args, &runs)?;
    let synonyms = user_prompts::synonyms(args.synonyms.as_deref())?;
    let labels = options::output_labels(args, &runs[0], &synonyms)?;
    let scans = inputs::find(&args.inputs, runs[0].config.data.channels.len())?;
    let classes = options::output_classes(&runs[0], labels.as_deref());
    let jobs = outputs::plan(args, scans, &classes)?;
    let case_prompts = CasePrompts::find(args, &jobs)?;

    let mut predictor = TrainedModel::ensemble(&runs, config, &args.device.open()?)?;
    if let Some(file) = &args.descriptions {
        predictor = options::with_descriptions(predictor, file, &runs, &synonyms)?;
    }
    if let Some(labels) = labels {
        predictor = predictor.with_output_labels(labels);
    }
    if args.more.probabilities {
        predictor = predictor.with_probabilities();
    }
    outputs::create_folders(args, &jobs)?;

    segment_all(&jobs, |job, bar| {
        let own = case_prompts.apply(&predictor, &runs, &job.scan)?;
        let InferenceProgress { reused, total, .. } = segment(own.as_ref().unwrap_or(&predictor), job, bar)?;
        let path = job.files.label_map.display();
        if reused == 0 {
            tracing::info!("{path}");
        } else {
            tracing::info!("{path}: {reused} of {total} patches are constant and were computed once");
        }
        Ok(())
    })
}

/// Segments one scan and writes its files, all or none.
fn segment(predictor: &Predictor, job: &Job, bar: &ProgressBar) -> Result<InferenceProgress> {
    let mut show = progress::patches(bar, &job.scan.id);
    let mut last = InferenceProgress::default();
    let segmentation = predictor.predict_files(&job.scan.images, &mut |progress| {
        last = progress;
        show(progress)
    })?;
    segmentation.write_files(&job.files)?;
    Ok(last)
}
