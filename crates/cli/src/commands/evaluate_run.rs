//! Evaluates a run: predicts held-out cases with its best weights, scores them on the grids of their files, and writes
//! scores, curves and report.

use anyhow::{Context, Result, bail};
use bipvl::{data::Case, infer::Predictor, run::RunDir};
use bipvl_report::{Report, evaluate::CaseFiles, history::History, score_files};
use burn::tensor::Device;

use super::{
    concept_attribution::attribute_concepts,
    evaluate::{print_table, score},
    report_content::{draw_worst, run_settings},
};
use crate::{interrupt, progress};

/// Evaluates a run; `settings` are additional rows of the report. A case that cannot be predicted does not stop the
/// others; the command fails at the end.
pub(crate) fn evaluate_run(
    run: &RunDir,
    cases: &[Case],
    device: &Device,
    settings: &[(&str, String)],
) -> Result<()> {
    let (data, schema) = (&run.config.data, &run.config.data.label_schema);
    let predictor = run.model.predictor(run.config.infer, device)?;
    let total = cases.len();
    let (cases, pairs) = predict(run, &predictor, cases)?;
    let classes = schema.names();
    let scores = score(&pairs, schema)?;
    score_files::write_all(run.dir(), &scores, &classes, None)?;
    let report = Report {
        title: format!("{}: {} held-out cases", data.name, cases.len()),
        settings: run_settings(&run.config, settings),
        classes: classes.clone(),
        overlays: draw_worst(schema, &cases, &pairs, &scores)?,
        concepts: Some(attribute_concepts(run, &predictor, &cases, &scores)?),
        scores: scores.clone(),
        histories: vec![History::read(&run.path("log.jsonl"))?],
    };
    report.write_all(run.dir())?;
    print_table(&scores, &classes);
    tracing::info!("report in {}", run.path("report.html").display());
    match total - cases.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {total} cases could not be segmented and are not scored"),
    }
}

/// Writes a label map for each case; those that fail are logged and left out.
fn predict(run: &RunDir, predictor: &Predictor, cases: &[Case]) -> Result<(Vec<Case>, Vec<CaseFiles>)> {
    let bar = progress::bar("segmenting", cases.len());
    let results =
        run.model.predict_cases(predictor, cases, &run.path("predictions"), &mut |case, progress| {
            bar.set_message(format!("{}: {} of {} patches", case.id, progress.done, progress.total));
            if progress.done == progress.total {
                bar.inc(1);
            }
            interrupt::poll()
        })?;
    bar.finish_and_clear();
    let (mut predicted, mut pairs) = (Vec::new(), Vec::new());
    for (case, result) in cases.iter().zip(results) {
        match result {
            Ok(prediction) => {
                let reference = case.labels.clone().context("an evaluation case has labels")?;
                pairs.push(CaseFiles { case: case.id.clone(), prediction, reference });
                predicted.push(case.clone());
            }
            Err(error) => tracing::error!("case {}: {error}", case.id),
        }
    }
    if pairs.is_empty() {
        bail!("none of the {} cases could be segmented", cases.len());
    }
    Ok((predicted, pairs))
}
