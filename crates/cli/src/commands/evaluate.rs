//! `bipvl evaluate`: scores predicted label maps against references.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl::data::read_label_schema;
use bipvl_imaging::{LabelRemap, LabelSchema};
use bipvl_io::{atomic_write, ensure_writable};
use bipvl_metrics::{ClassLabels, MetricConfig, Scores};
use bipvl_report::{
    evaluate::{CaseFiles, Evaluation, EvaluationConfig, Pairing, UnknownLabel},
    table,
};

use crate::{args::EvaluateArgs, progress};

/// Scores the cases of the reference folder, writes the scores and prints their table.
pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if args.tolerance_mm.is_nan() || args.tolerance_mm < 0.0 {
        bail!("--tolerance-mm: expected at least 0, found {}", args.tolerance_mm);
    }
    ensure_writable(&args.json)?;
    let beside = args.reference.parent().map(|folder| folder.join("dataset.json"));
    let dataset = args.dataset.clone().or_else(|| beside.filter(|path| path.exists()));
    let schema = dataset.as_deref().map(read_label_schema).transpose()?;
    let pairing = Pairing::of_folders(&args.pred, &args.reference)?;
    let inputs = pairing.cases.iter().flat_map(|files| [&files.prediction, &files.reference]);
    ensure_no_input(&args.json, inputs.chain(&dataset))?;
    let (convention, tolerance_mm) = (args.convention, args.tolerance_mm);
    let metrics = MetricConfig {
        convention,
        tolerance_mm,
        ignore_label: schema.as_ref().and_then(LabelSchema::ignore),
    };
    let classes = schema.map(|schema| schema.classes().iter().map(ClassLabels::from).collect());
    let config = EvaluationConfig { classes, metrics, ..EvaluationConfig::default() };
    let evaluation = evaluate(pairing, &config)?;
    warn(&evaluation);
    if !evaluation.scores.cases.is_empty() {
        write_scores(&args.json, &evaluation.scores)?;
        let names: Vec<String> = evaluation.classes.iter().map(|class| class.name.clone()).collect();
        print_table(&evaluation.scores, &names);
    }
    ensure_complete(&evaluation)
}

/// Scores pairs of files, all of which must be readable; labels of the references are remapped by `remap`.
pub(crate) fn score(
    cases: &[CaseFiles],
    classes: &[ClassLabels],
    remap: &[LabelRemap],
    metrics: &MetricConfig,
) -> Result<Scores> {
    let config = EvaluationConfig {
        classes: Some(classes.to_vec()),
        metrics: *metrics,
        reference_remap: remap.to_vec(),
    };
    let pairing = Pairing { cases: cases.to_vec(), ..Pairing::default() };
    let evaluation = evaluate(pairing, &config)?;
    ensure_complete(&evaluation)?;
    Ok(evaluation.scores)
}

/// Writes scores as JSON.
pub(crate) fn write_scores(path: &Path, scores: &Scores) -> Result<()> {
    let text = serde_json::to_string_pretty(scores).context("scores as JSON")?;
    Ok(atomic_write(path, text.as_bytes())?)
}

/// Prints the means by class.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn print_table(scores: &Scores, classes: &[String]) {
    println!("{}", table::text(scores, classes));
}

fn evaluate(pairing: Pairing, config: &EvaluationConfig) -> Result<Evaluation> {
    let bar = progress::bar("scoring", pairing.cases.len());
    let evaluation = pairing.evaluate(config, &mut |progress| {
        bar.set_position(progress.done as u64);
        bar.set_message(progress.case.to_owned());
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    Ok(evaluation)
}

fn ensure_no_input<'a>(output: &Path, inputs: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let Ok(output) = fs::canonicalize(output) else { return Ok(()) };
    let mut inputs = inputs.filter_map(|path| fs::canonicalize(path).ok());
    if inputs.any(|input| input == output) {
        bail!("{}: is an input of the evaluation and would be overwritten", output.display());
    }
    Ok(())
}

/// One warning per unscored prediction and per unknown label.
fn warn(evaluation: &Evaluation) {
    for path in &evaluation.unreferenced {
        tracing::warn!("{}: no reference with this name, not scored", path.display());
    }
    let mut by_label: BTreeMap<u16, Vec<&UnknownLabel>> = BTreeMap::new();
    for unknown in &evaluation.unknown_labels {
        by_label.entry(unknown.label).or_default().push(unknown);
    }
    for (label, files) in by_label {
        let voxels: usize = files.iter().map(|unknown| unknown.voxels).sum();
        let more = match files.len() {
            1 => String::new(),
            count => format!(" and {} more files", count - 1),
        };
        let path = files[0].path.display();
        tracing::warn!(
            "{path}{more}: label {label} ({voxels} voxels) belongs to no class, scored as background"
        );
    }
}

/// Logs every failure.
fn ensure_complete(evaluation: &Evaluation) -> Result<()> {
    let (failed, scored) = (evaluation.failures.len(), evaluation.scores.cases.len());
    for failure in &evaluation.failures {
        tracing::error!("{failure}");
    }
    if failed > 0 {
        bail!("{failed} of {} cases could not be scored", failed + scored);
    }
    Ok(())
}
