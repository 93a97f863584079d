//! `bipvl probe`: the sensitivity of a trained model to its text.

mod inputs;
mod prompted;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use bipvl::{
    data::{Case, Dataset, file_fingerprint},
    infer::Predictor,
    probe::{
        ProbeProgress, PromptResult, ResultCache, SensitivitySummary, TextSensitivity, TextSensitivityInput,
    },
    prompts::PromptRun,
    run::RunDir,
    text::perturbations::PerturbationSet,
};
use bipvl_metrics::bootstrap::Bootstrap;
use bipvl_report::probe::ProbeReport;

use super::prompts;
use crate::{
    args::{CasesArg, ProbeArgs, missing_argument},
    interrupt, progress,
};

/// What is compared on which cases.
struct Probe<'a> {
    run: &'a RunDir,
    dataset: &'a Dataset,
    cases: Vec<Case>,
    /// The labels of each class of the run in the references.
    labels: Vec<Vec<u16>>,
    perturbed: PerturbationSet,
}

/// Segments the cases with every perturbation, and writes the comparison.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &ProbeArgs) -> Result<()> {
    interrupt::install();
    if PromptRun::exists_in(&args.model) {
        return prompted::run(args);
    }
    let Some(data) = &args.data else { missing_argument("--data <DIR>") };
    let run = RunDir::open(&args.model)?;
    let device = args.device.open()?;
    let synonyms = prompts::synonyms(args.synonyms.as_deref())?;
    let dataset = match args.cases {
        CasesArg::Val => Dataset::read(data, &run.config.data.dataset_overrides())?,
        CasesArg::All => Dataset::open(data)?,
    };
    let (mut cases, labels) = inputs::cases(args.cases, &run, &dataset, &synonyms)?;
    cases.truncate(args.max_cases.map_or(usize::MAX, |cases| cases as usize));
    let perturbed = inputs::perturbed_texts(args, &run, &synonyms)?;
    let predictor = run.model.predictor(run.config.infer, &device)?;
    let predictor = predictor.with_output_labels(labels.iter().map(|labels| labels[0]).collect());

    let out = args.out.clone().unwrap_or_else(|| run.path("probe"));
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let probe = Probe { run: &run, dataset: &dataset, cases, labels, perturbed };
    let results = probe.evaluate(&predictor, &out)?;
    let names = run.config.data.label_schema.names();
    let count_truncated = |texts: &[String]| run.model.count_truncated(texts);
    let bootstrap = Bootstrap::with_seed(args.seed);
    let summary = SensitivitySummary::new(&probe.perturbed, &names, &results, bootstrap, &count_truncated);
    let title = format!("{}: text sensitivity", dataset.name);
    let report = ProbeReport { title, summary, has_class_scale: run.config.model.fusion.class_scale };
    report.write(&out)?;
    println!("{}", report.text());
    tracing::info!("report in {}", out.join("probe.html").display());
    Ok(())
}

impl Probe<'_> {
    /// The results of all cases, `[cases][perturbations]`.
    fn evaluate(&self, predictor: &Predictor, out: &Path) -> Result<Vec<Vec<PromptResult>>> {
        let Self { run, dataset, cases, labels, perturbed } = self;
        let mut cache = ResultCache::open(&out.join("results.jsonl"))?;
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
        let results = sensitivity.evaluate_all(cases, &mut cache, &mut |index, progress| {
            bar.set_message(cases[index].id.clone());
            match progress {
                ProbeProgress::Prompt => bar.inc(1),
                // Cases with cached results are skipped.
                ProbeProgress::Patch(_) => bar.set_position(bar.position().max((index * prompts) as u64)),
            }
            interrupt::poll()
        })?;
        bar.finish_and_clear();
        Ok(results)
    }
}
