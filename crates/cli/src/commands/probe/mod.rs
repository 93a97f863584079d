//! `bipvl probe`: the sensitivity of a trained model to its text.

mod evaluation;
mod inputs;
mod prompted;

use std::fs;

use anyhow::{Context, Result};
use bipvl::{data::Dataset, probe::SensitivitySummary, prompts::PromptRun, run::RunDir};
use bipvl_metrics::bootstrap::Bootstrap;
use bipvl_report::probe::ProbeReport;

use super::prompts;
use crate::{
    args::{CasesArg, ProbeArgs, missing_argument},
    interrupt,
};
use evaluation::Probe;

/// Segments the cases with every perturbation, and writes the comparison.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &ProbeArgs) -> Result<()> {
    interrupt::install();
    if PromptRun::exists_in(&args.model) {
        return prompted::run(args);
    }
    let run = RunDir::open(&args.model)?;
    let Some(data) = &args.data else { missing_argument("--data <DIR>") };
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
