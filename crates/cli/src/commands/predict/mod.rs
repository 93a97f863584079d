//! `bipvl predict`: segments scans with a trained model.

mod batch;
pub(crate) mod inputs;
mod options;
mod outputs;
mod prompt_options;
mod protection;
mod prompted;
mod prompts;
pub(crate) mod record;
mod results;
mod scan;
#[cfg(feature = "nats")]
pub(crate) mod study;

use anyhow::{Result, bail};
use bipvl::{
    infer::{InferenceProgress, Predictor, TrainedModel, run_dirs},
    prompts::PromptRun,
    text::Synonyms,
};
use bipvl_dicom::Algorithm;
use bipvl_io::FileTransaction;
use indicatif::ProgressBar;

use crate::{args::PredictArgs, commands::prompts as user_prompts, interrupt, progress};
use batch::segment_all;
use outputs::Job;
use prompts::CasePrompts;
use results::ModelOutput;

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
    let scans = inputs::find(&args.inputs, runs[0].config.data.channels.len(), args.wants_dicom())?;
    let classes = options::output_classes(&runs[0], labels.as_deref());
    let plan = outputs::plan(args, scans, &classes, false)?;
    let case_prompts = CasePrompts::find(args, &plan.jobs)?;

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
    outputs::create_folders(args, &plan.jobs)?;

    let algorithm = scan::algorithm(args, &plan.jobs)?;
    segment_all(args, &plan, |job, bar| {
        let own = case_prompts.apply(&predictor, &runs, &job.scan)?;
        let predictor = own.as_ref().unwrap_or(&predictor);
        let InferenceProgress { reused, total, .. } =
            segment(predictor, &algorithm, &synonyms, args, job, bar)?;
        let path = job.main_output().display();
        if reused == 0 {
            tracing::info!("{path}");
        } else {
            tracing::info!("{path}: {reused} of {total} patches are constant and were computed once");
        }
        Ok(())
    })
}

/// Segments one scan and writes its files, all or none.
fn segment(
    predictor: &Predictor,
    algorithm: &Algorithm,
    synonyms: &Synonyms,
    args: &PredictArgs,
    job: &Job,
    bar: &ProgressBar,
) -> Result<InferenceProgress> {
    let mut show = progress::patches(bar, &job.scan.id);
    let mut last = InferenceProgress::default();
    let mut scan = scan::load(&job.scan, args)?;
    let image = job.measures().then(|| scan.channels[0].clone());
    let channels = std::mem::take(&mut scan.channels);
    predictor.ensure_readable(&job.scan.paths()[0], &channels)?;
    let mut segmentation = predictor.predict(channels, &mut |progress| {
        last = progress;
        show(progress)
    })?;
    if let Some(header) = &scan.header {
        segmentation = segmentation.with_reference(header);
    }
    let mut staged = FileTransaction::default();
    segmentation.stage(&job.files, &mut staged)?;
    let found = ModelOutput::Classes(&segmentation);
    let source = scan.source(algorithm.clone(), args)?;
    results::stage(job, source.as_ref(), &found, image.as_ref(), synonyms, &mut staged)?;
    staged.commit()?;
    Ok(last)
}
