//! `bipvl predict` with a prompted run: label map, masks, and what each prompt found.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl::{
    data::PreprocessConfig,
    prompts::{Finding, Overlap, PromptPredictor, PromptRun, predictor::EncodedTexts},
    text::Synonyms,
};
use bipvl_dicom::Algorithm;
use bipvl_imaging::Segment;
use bipvl_io::FileTransaction;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    batch::segment_all,
    options::with_window,
    outputs::Job,
    results::{self, ModelOutput},
    scan::{self, load},
};
use super::{inputs, outputs, prompt_options as options};
use crate::{args::PredictArgs, progress};

/// The loaded run with its prompts.
struct Prompted {
    algorithm: Algorithm,
    predictor: PromptPredictor,
    prompts: EncodedTexts,
    preprocess: PreprocessConfig,
    overlap: Overlap,
}

/// `labels.json`: what the values of the label map mean and what was found.
#[derive(Serialize)]
struct LabelsFile<'a> {
    scan: &'a Path,
    model: &'a Path,
    labels: Vec<Finding>,
}

/// Segments every scan; one that fails is reported, and the others go on.
pub(super) fn run(args: &PredictArgs) -> Result<()> {
    let [folder] = &args.model[..] else {
        bail!("--model: prompted runs are not averaged; give one");
    };
    options::refuse_other_flags(args)?;
    let mut run = PromptRun::open(folder)?;
    run.config.infer = with_window(args, run.config.infer)?;
    let texts = options::texts(args, &run)?;
    let preprocess = options::preprocess(args, &run)?;
    let scans = inputs::find(&args.inputs, 1, args.wants_dicom())?;
    let names: Vec<&str> = texts.iter().map(String::as_str).collect();
    let plan = outputs::plan(args, scans, &names, true)?;
    let mut predictor = run.predictor(&args.device.open()?)?;
    if args.more.probabilities {
        predictor = predictor.with_probabilities();
    }
    options::warn_of_texts(&run, &predictor, &texts);
    let overlap = if args.prompts.exclusive { Overlap::Exclusive } else { Overlap::Allowed };
    let prompts = predictor.encode(&texts);
    let prompted =
        Prompted { algorithm: scan::algorithm(args, &plan.jobs)?, predictor, prompts, preprocess, overlap };
    outputs::create_folders(args, &plan.jobs)?;
    segment_all(args, &plan, |job, bar| {
        let findings = segment(&prompted, args, job, bar)?;
        bar.suspend(|| report(job, &findings));
        Ok(())
    })
}

/// Segments one scan and writes its files, all or none.
fn segment(prompted: &Prompted, args: &PredictArgs, job: &Job, bar: &ProgressBar) -> Result<Vec<Finding>> {
    let Prompted { algorithm, predictor, prompts, preprocess, overlap } = prompted;
    let path = &job.scan.paths()[0];
    let mut scan = load(&job.scan, args)?;
    if scan.channels.len() != 1 {
        bail!("{}: {} channels, but the network reads one", path.display(), scan.channels.len());
    }
    preprocess.ensure_size(path, scan.channels[0].grid())?;
    let volume = scan.channels.remove(0);
    let image = job.measures().then(|| volume.clone());
    let mut show = progress::patches(bar, &job.scan.id);
    let found = predictor.segment(prompts, volume, scan.header.as_ref(), preprocess, *overlap, &mut show)?;
    let findings = found.findings();
    let mut staged = FileTransaction::default();
    found.stage(&job.files, &mut staged)?;
    let segment =
        |finding: &Finding| Segment { name: finding.prompt.clone(), label: finding.value, code: None };
    let segments = ModelOutput::Prompts(&found, findings.iter().map(segment).collect());
    let source = scan.source(algorithm.clone(), args)?;
    results::stage(job, source.as_ref(), &segments, image.as_ref(), &Synonyms::builtin(), &mut staged)?;
    stage_labels(job, args, &findings, &mut staged)?;
    staged.commit()?;
    job.remove_outdated()?;
    Ok(findings)
}

/// Stages what the values of the label map mean and what was found.
pub(super) fn stage_labels(
    job: &Job,
    args: &PredictArgs,
    findings: &[Finding],
    staged: &mut FileTransaction,
) -> Result<()> {
    let Some(file) = &job.labels else { return Ok(()) };
    let scan = if args.dicom.deidentify { Path::new(&job.scan.id) } else { job.scan.paths()[0].as_path() };
    let labels = LabelsFile { scan, model: &args.model[0], labels: findings.to_vec() };
    Ok(staged.stage(file, serde_json::to_string_pretty(&labels)?.as_bytes())?)
}

fn report(job: &Job, findings: &[Finding]) {
    let path = job.main_output().display();
    tracing::info!("{path}");
    for Finding { prompt, volume_ml, found, presence, .. } in findings {
        let presence = presence.map_or(String::new(), |presence| format!(", presence {presence:.2}"));
        if *found {
            tracing::info!("  {prompt}: {volume_ml:.1} ml{presence}");
        } else {
            tracing::info!("  {prompt}: nothing found{presence}");
        }
    }
}
