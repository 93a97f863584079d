//! `bipvl probe`: the sensitivity of a trained model to its text.

use std::{collections::HashSet, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, file_fingerprint},
    infer::Predictor,
    probe::{
        ProbeProgress, PromptResult, ResultCache, SensitivitySummary, TextSensitivity, TextSensitivityInput,
    },
    run::RunDir,
    text::{
        Descriptions, Synonyms,
        perturbations::{Perturbation, PerturbationContext, PerturbationSet},
    },
};
use bipvl_io::atomic_write;
use bipvl_metrics::bootstrap::Bootstrap;
use bipvl_report::probe::ProbeReport;

use super::{prompts, train::warn_of_added_cases};
use crate::{
    args::{CasesArg, ProbeArgs},
    interrupt, progress,
};

/// Segments the cases with every perturbation, and writes the comparison.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &ProbeArgs) -> Result<()> {
    interrupt::install();
    let run = RunDir::open(&args.model)?;
    let device = args.device.open()?;
    let synonyms = prompts::synonyms(args.synonyms.as_deref())?;
    let dataset = match args.cases {
        CasesArg::Val => Dataset::read(&args.data, &run.config.data.dataset_overrides())?,
        CasesArg::All => Dataset::open(&args.data)?,
    };
    let (mut cases, labels) = cases(args.cases, &run, &dataset, &synonyms)?;
    cases.truncate(args.max_cases.map_or(usize::MAX, |cases| cases as usize));
    let perturbed = perturbed_texts(args, &run, &synonyms)?;
    let predictor = run.model.predictor(run.config.infer, &device)?;
    let predictor = predictor.with_output_labels(labels.iter().map(|labels| labels[0]).collect());

    let out = args.out.clone().unwrap_or_else(|| run.path("probe"));
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let results = evaluate(&run, &dataset, &predictor, &labels, &cases, &perturbed, &out)?;
    let names = run.config.data.label_schema.names();
    let count_truncated = |texts: &[String]| run.model.count_truncated(texts);
    let bootstrap = Bootstrap::with_seed(args.seed);
    let summary = SensitivitySummary::new(&perturbed, &names, &results, bootstrap, &count_truncated);

    let title = format!("{}: text sensitivity", dataset.name);
    let report = ProbeReport { title, summary, has_class_scale: run.config.model.fusion.class_scale };
    let text = serde_json::to_string_pretty(&report.summary)?;
    atomic_write(&out.join("probe.json"), text.as_bytes())?;
    atomic_write(&out.join("probe.md"), report.markdown().as_bytes())?;
    atomic_write(&out.join("probe.html"), report.html()?.as_bytes())?;
    println!("{}", report.text());
    tracing::info!("report in {}", out.join("probe.html").display());
    Ok(())
}

/// The cases, and the labels of each class of the run in them.
fn cases(
    which: CasesArg,
    run: &RunDir,
    dataset: &Dataset,
    synonyms: &Synonyms,
) -> Result<(Vec<Case>, Vec<Vec<u16>>)> {
    let (names, label_sets) = (dataset.label_schema.names(), dataset.label_schema.label_sets());
    if which == CasesArg::Val {
        warn_of_added_cases(run, dataset)?;
        return Ok((run.split(dataset)?.val, label_sets.into_iter().map(<[u16]>::to_vec).collect()));
    }
    let labels = |class: &String| match synonyms.find_classes(class, &names)[..] {
        [index] => Ok(label_sets[index].to_vec()),
        _ => bail!(
            "{}: no unique class for \"{class}\" of the run among {}",
            dataset.layout.manifest_path(&dataset.root).display(),
            names.join(", ")
        ),
    };
    let labels = run.config.data.label_schema.names().iter().map(labels).collect::<Result<_>>()?;
    let cases: Vec<Case> = dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
    if cases.is_empty() {
        bail!("{}: no case has labels", dataset.root.display());
    }
    Ok((cases, labels))
}

/// The text of the training and its perturbations.
fn perturbed_texts(args: &ProbeArgs, run: &RunDir, synonyms: &Synonyms) -> Result<PerturbationSet> {
    let kinds = if args.perturbations.is_empty() { &Perturbation::ALL[..] } else { &args.perturbations };
    let mut paraphrases: Vec<(String, Descriptions)> = Vec::new();
    let mut names = HashSet::new();
    for file in &args.paraphrases {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !names.insert(name.clone()) {
            bail!("--paraphrases: two files are named {name}, the second is {}", file.display());
        }
        let descriptions = prompts::with_overrides(&run.model, file, synonyms)?;
        prompts::warn_of_truncation(&run.model, file, &descriptions);
        paraphrases.push((name, descriptions));
    }
    let context = PerturbationContext { seed: args.seed, kinds, paraphrases: &paraphrases, synonyms };
    Ok(PerturbationSet::new(&run.model.descriptions, &context))
}

/// The results of all cases, `[cases][perturbations]`.
fn evaluate(
    run: &RunDir,
    dataset: &Dataset,
    predictor: &Predictor,
    labels: &[Vec<u16>],
    cases: &[Case],
    perturbed: &PerturbationSet,
    out: &std::path::Path,
) -> Result<Vec<Vec<PromptResult>>> {
    let cache: PathBuf = out.join("results.jsonl");
    let mut cache = ResultCache::open(&cache)?;
    let tokens: Vec<_> = perturbed.texts.iter().map(|text| run.model.tokenize(&text.texts)).collect();
    let weights = file_fingerprint(&run.model.best_checkpoint())?;
    let sensitivity = TextSensitivity::new(TextSensitivityInput {
        predictor,
        labels,
        remap: dataset.label_schema.remap(),
        variants: &perturbed.texts,
        tokens: &tokens,
        fingerprint: format!("{weights}{}", run.config.to_toml()),
    });
    let prompts = perturbed.texts.len();
    let bar = progress::bar("probing", cases.len() * prompts);
    let mut results = Vec::with_capacity(cases.len());
    for (index, case) in cases.iter().enumerate() {
        bar.set_message(case.id.clone());
        results.push(sensitivity.evaluate(case, &mut cache, &mut |progress| {
            if progress == ProbeProgress::Prompt {
                bar.inc(1);
            }
            interrupt::poll()
        })?);
        bar.set_position(((index + 1) * prompts) as u64);
    }
    bar.finish_and_clear();
    Ok(results)
}
