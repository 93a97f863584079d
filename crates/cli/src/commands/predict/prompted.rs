//! `bipvl predict` with a prompted run: label map, masks, and what each prompt found.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl::{
    data::{PreprocessConfig, read_channels},
    imaging::probe,
    prompts::{
        Finding, Overlap, PromptPredictor, PromptRun,
        predictor::EncodedTexts,
        reading::{check_prompts, read_prompts, unseen_words},
    },
};
use indicatif::ProgressBar;
use serde::Serialize;

use super::{inputs, outputs};
use crate::{args::PredictArgs, interrupt, progress};
use outputs::Job;

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
    refuse_other_flags(args)?;
    let run = PromptRun::open(folder)?;
    let texts = texts(args, &run)?;
    let preprocess = preprocess(args, &run)?;
    let scans = inputs::find(&args.inputs, 1)?;
    let names: Vec<&str> = texts.iter().map(String::as_str).collect();
    let jobs = outputs::plan(args, scans, &names)?;
    let predictor = run.predictor(&args.device.open()?)?;
    warn_of_texts(&run, &predictor, &texts);
    let overlap = if args.prompts.exclusive { Overlap::Exclusive } else { Overlap::Allowed };
    let prompts = predictor.encode(&texts);
    let prompted = Prompted { predictor, prompts, preprocess, overlap };
    outputs::create_folders(args, &jobs)?;
    let bar = progress::bar("segmenting", jobs.len());
    let mut failed = 0;
    for job in &jobs {
        if interrupt::is_requested() {
            bail!("interrupted before {}; --skip-existing continues", job.scan.id);
        }
        match segment(&prompted, job, folder, &bar) {
            Ok(findings) => bar.suspend(|| report(job, &findings)),
            Err(_) if interrupt::is_requested() => {
                bail!("interrupted in {}; --skip-existing continues", job.scan.id)
            }
            Err(error) => {
                failed += 1;
                bar.suspend(|| tracing::error!("{}: {error:#}", job.scan.id));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed > 0 {
        bail!("{failed} of {} scans could not be segmented", jobs.len());
    }
    Ok(())
}

fn refuse_other_flags(args: &PredictArgs) -> Result<()> {
    let given = [
        ("--classes", !args.classes.is_empty()),
        ("--descriptions", args.descriptions.is_some()),
        ("--case-descriptions", args.case_descriptions.is_some()),
        ("--tta-mirror-axes", args.tta_mirror_axes.is_some()),
        ("--keep-largest-component", args.keep_largest_component.is_some()),
        ("--probabilities", args.more.probabilities),
        ("--overlap", args.overlap.is_some()),
        ("--blend-mode", args.blend_mode.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            bail!("{flag} is for runs with model.head = \"channels\"; this run is asked with --prompt")
        }
        None => Ok(()),
    }
}

/// The prompts of the flags, else the names of all that the run was trained on.
fn texts(args: &PredictArgs, run: &PromptRun) -> Result<Vec<String>> {
    let mut texts = args.prompts.prompts.clone();
    if let Some(file) = &args.prompts.file {
        texts.extend(read_prompts(file)?);
    }
    if texts.is_empty() && args.prompts.file.is_none() {
        let whole = run.vocabulary.concepts.iter().filter(|concept| concept.parts.is_empty());
        texts = whole.map(|concept| concept.name.clone()).collect();
    }
    check_prompts(&texts)?;
    Ok(texts)
}

/// The preprocessing of `--like`, or the only one there is.
fn preprocess(args: &PredictArgs, run: &PromptRun) -> Result<PreprocessConfig> {
    let sets = &run.config.data.set;
    let names = || sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ");
    match &args.prompts.like {
        Some(name) => match sets.iter().find(|set| set.name == *name) {
            Some(set) => Ok(set.preprocess.clone()),
            None => bail!("--like: no data set `{name}`; the run has {}", names()),
        },
        None if sets.iter().all(|set| set.preprocess == sets[0].preprocess) => Ok(sets[0].preprocess.clone()),
        None => bail!(
            "the data sets of the run are preprocessed differently; say with --like which the scans resemble: {}",
            names()
        ),
    }
}

fn warn_of_texts(run: &PromptRun, predictor: &PromptPredictor, texts: &[String]) {
    for prompt in predictor.truncated(texts) {
        tracing::warn!("`{prompt}` is longer than the text encoder reads; its end is left out");
    }
    if run.config.pretrained.text_encoder.is_some() {
        return;
    }
    for prompt in texts {
        let unseen = unseen_words(&run.vocabulary, prompt);
        if !unseen.is_empty() {
            tracing::warn!("`{prompt}`: no training text has the word {}", unseen.join(", "));
        }
    }
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
