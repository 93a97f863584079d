//! Scores a prompted run on its held-out cases and writes scores, curves and report.

use anyhow::{Context, Result, bail};
use bipvl::{
    data::Case,
    prompts::{
        PromptRun,
        evaluation::{PromptedCase, PromptedEvaluation},
        sets::OpenSet,
    },
};
use bipvl_metrics::{MetricConfig, Scores};
use bipvl_report::{
    Report,
    history::History,
    overlay::{Overlay, OverlayCase},
    score_files,
};
use burn::tensor::Device;

use crate::{
    commands::{evaluate::print_table, report_content::MAX_PICTURES},
    interrupt, progress,
};

/// Asks for every concept of every held-out case by its name; `more_settings` are rows of the report. A case that cannot be scored does not stop the others; the
/// command fails at the end.
pub(crate) fn evaluate_prompted(
    run: &PromptRun,
    sets: &[OpenSet],
    device: &Device,
    more_settings: &[(&str, String)],
) -> Result<()> {
    let predictor = run.predictor(device)?;
    let evaluation = PromptedEvaluation::new(run, &predictor);
    let cases = held_out_cases(run, sets)?;
    let scored = score(&evaluation, sets, &cases)?;
    let classes: Vec<String> = evaluation.classes().into_iter().map(|class| class.name).collect();
    let of_cases = scored.iter().map(|(_, case)| case.scores.clone()).collect();
    let scores = Scores::new(&MetricConfig::default(), of_cases);
    score_files::write_all(&run.dir, &scores, &classes, None)?;
    let names: Vec<String> = sets.iter().map(|set| set.config.name.clone()).collect();
    let report = Report {
        title: format!("{}: {} held-out cases", names.join(", "), scored.len()),
        settings: settings(run, more_settings),
        overlays: draw_worst(&evaluation, &scored, &scores)?,
        concepts: None,
        histories: vec![History::read(&run.path("log.jsonl"))?],
        scores: scores.clone(),
        classes: classes.clone(),
    };
    report.write_all(&run.dir)?;
    print_table(&scores, &classes);
    tracing::info!("report in {}", run.path("report.html").display());
    match cases.len() - scored.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} cases could not be segmented and are not scored", cases.len()),
    }
}

fn settings(run: &PromptRun, more: &[(&str, String)]) -> Vec<(String, String)> {
    let config = &run.config;
    let mut settings = more.to_vec();
    settings.extend([
        ("model size", config.model_size.clone()),
        ("seed", config.train.seed.to_string()),
        ("concepts", "each asked by its name; undefined where a case says nothing of it".to_owned()),
    ]);
    if !config.prompts.held_out.is_empty() {
        settings.push(("held out, see `bipvl probe`", config.prompts.held_out.join(", ")));
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The test cases of every data set, or its validation cases where it has none, with the place of their set.
fn held_out_cases(run: &PromptRun, sets: &[OpenSet]) -> Result<Vec<(usize, Case)>> {
    let mut cases = Vec::new();
    for (place, set) in sets.iter().enumerate() {
        cases.extend(run.held_out_cases(set)?.into_iter().map(|case| (place, case)));
    }
    Ok(cases)
}

/// The cases that could be scored, with their places.
fn score(
    evaluation: &PromptedEvaluation,
    sets: &[OpenSet],
    cases: &[(usize, Case)],
) -> Result<Vec<(usize, PromptedCase)>> {
    let bar = progress::bar("segmenting", cases.len());
    let mut scored = Vec::new();
    for (index, (place, case)) in cases.iter().enumerate() {
        let mut show = progress::patches(&bar, &case.id);
        match evaluation.case(*place, &sets[*place], case, &mut show) {
            Ok(case) => scored.push((index, case)),
            Err(_) if interrupt::is_requested() => {
                bail!("interrupted; the weights are written, the scores are not")
            }
            Err(error) => bar.suspend(|| tracing::error!("case {}: {error}", case.id)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    (!scored.is_empty()).then_some(scored).context("no held-out case could be segmented")
}

fn draw_worst(
    evaluation: &PromptedEvaluation,
    scored: &[(usize, PromptedCase)],
    scores: &Scores,
) -> Result<Vec<Overlay>> {
    let classes = evaluation.classes();
    let draw = |index: usize| -> Result<Overlay> {
        let PromptedCase { scores, image, prediction, reference } = &scored[index].1;
        let case = OverlayCase { case: &scores.case, image, prediction, reference, classes: &classes };
        Ok(Overlay::draw(&case)?)
    };
    scores.worst_first().into_iter().take(MAX_PICTURES).map(draw).collect()
}
