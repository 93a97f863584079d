//! `bipvl evaluate`: scores predicted label maps against references.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use bipvl::data::read_label_schema;
use bipvl_imaging::LabelSchema;
use bipvl_io::ensure_writable;
use bipvl_metrics::Scores;
use bipvl_report::{
    evaluate::{CaseFiles, Evaluation, EvaluationConfig, Pairing},
    score_files, table,
};

use super::score_shard::{ScoreShard, keep, shard_path};
use crate::{
    args::{EvaluateArgs, ShardArg},
    progress,
};

/// Scores the cases of the reference folder, writes the scores and prints their table.
pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if args.tolerance_mm.is_nan() || args.tolerance_mm < 0.0 {
        bail!("--tolerance-mm: expected at least 0, found {}", args.tolerance_mm);
    }
    let shard = args.shard.map(ShardArg::resolve).transpose()?;
    let json = shard.map_or_else(|| args.json.clone(), |shard| shard_path(&args.json, shard));
    ensure_writable(&json)?;
    let beside = args.reference.parent().map(|folder| folder.join("dataset.json"));
    let dataset = args.dataset.clone().or_else(|| beside.filter(|path| path.exists()));
    let schema = dataset.as_deref().map(read_label_schema).transpose()?;
    if shard.is_some() && schema.is_none() {
        bail!("--shard: all shards must score the same classes; name them with --dataset FILE");
    }
    let mut pairing = Pairing::of_folders(&args.pred, &args.reference)?;
    let cases = shard.map(|shard| keep(&mut pairing, shard));
    let inputs = pairing.cases.iter().flat_map(|files| [&files.prediction, &files.reference]);
    ensure_no_input(&json, inputs.chain(&dataset))?;
    let (convention, tolerance_mm) = (args.convention, args.tolerance_mm);
    let evaluation = evaluate(pairing, &EvaluationConfig { schema, convention, tolerance_mm })?;
    for path in &evaluation.unreferenced {
        tracing::warn!("{}: no reference with this name, not scored", path.display());
    }
    for unknown in evaluation.unknown_label_summaries() {
        tracing::warn!("{unknown}");
    }
    if let (Some(shard), Some(cases)) = (shard, cases) {
        ScoreShard::new(shard, cases, &evaluation).write(&json)?;
        tracing::info!(
            "shard {shard}: {} of {cases} cases in {}",
            evaluation.scores.cases.len(),
            json.display()
        );
    } else if !evaluation.scores.cases.is_empty() {
        score_files::write_json(&json, &evaluation.scores)?;
        print_table(&evaluation.scores, &evaluation.class_names());
    }
    ensure_complete(&evaluation)
}

/// Scores pairs of files, all of which must be readable, for the classes of a schema.
pub(crate) fn score(cases: &[CaseFiles], schema: &LabelSchema) -> Result<Scores> {
    let pairing = Pairing { cases: cases.to_vec(), ..Pairing::default() };
    let evaluation = evaluate(pairing, &EvaluationConfig::for_schema(schema))?;
    ensure_complete(&evaluation)?;
    Ok(evaluation.scores)
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
