//! `bipvl predict` with a prompted run: label map, masks, and what each prompt found.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl::{
    data::{PreprocessConfig, read_channels},
    imaging::probe,
    prompts::{Finding, Overlap, PromptPredictor, PromptRun, predictor::EncodedTexts},
};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{batch::segment_all, options::with_window, outputs::Job};
use super::{inputs, outputs, prompt_options as options};
use crate::{args::PredictArgs, progress};

/// The loaded run with its prompts.
struct Prompted {
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
    let scans = inputs::find(&args.inputs, 1)?;
    let names: Vec<&str> = texts.iter().map(String::as_str).collect();
    let jobs = outputs::plan(args, scans, &names)?;
    let predictor = run.predictor(&args.device.open()?)?;
    options::warn_of_texts(&run, &predictor, &texts);
    let overlap = if args.prompts.exclusive { Overlap::Exclusive } else { Overlap::Allowed };
    let prompts = predictor.encode(&texts);
    let prompted = Prompted { predictor, prompts, preprocess, overlap };
    outputs::create_folders(args, &jobs)?;
    segment_all(&jobs, |job, bar| {
        let findings = segment(&prompted, job, folder, bar)?;
        bar.suspend(|| report(job, &findings));
        Ok(())
    })
}

/// Segments one scan and writes its files, all or none.
fn segment(prompted: &Prompted, job: &Job, model: &Path, bar: &ProgressBar) -> Result<Vec<Finding>> {
    let Prompted { predictor, prompts, preprocess, overlap } = prompted;
    let images = &job.scan.images;
    let header = probe(&images[0])?;
    let mut channels = read_channels(images)?;
    if channels.len() != 1 {
        bail!("{}: {} channels, but the network reads one", images[0].display(), channels.len());
    }
    preprocess.ensure_size(&images[0], channels[0].grid())?;
    let scan = channels.remove(0);
    let mut show = progress::patches(bar, &job.scan.id);
    let found = predictor.segment(prompts, scan, Some(&header), preprocess, *overlap, &mut show)?;
    let findings = found.findings();
    let labels = LabelsFile { scan: &images[0], model, labels: findings.clone() };
    let json = serde_json::to_string_pretty(&labels)?;
    found.write_files(&job.files, &json)?;
    Ok(findings)
}

fn report(job: &Job, findings: &[Finding]) {
    let path = job.files.label_map.display();
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
