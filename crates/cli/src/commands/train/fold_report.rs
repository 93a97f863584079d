//! Scores and report of a cross-validation: all cases together, and by fold.

use std::path::Path;

use anyhow::{Context, Result};
use bipvl::{
    data::Case,
    run::{CrossValidation, FoldRun},
};
use bipvl_report::{Report, evaluate::CaseFiles, folds::FoldScores, history::History, score_files};

use super::command_line;
use crate::commands::{
    evaluate::{print_table, score},
    report_content::draw_worst,
};

/// Writes the scores of all cases and of each fold as JSON, Markdown and HTML.
pub(super) fn write(out: &Path, runs: &CrossValidation) -> Result<()> {
    let config = &runs.folds[0].run.config;
    let (schema, classes) = (&config.data.label_schema, config.data.label_schema.names());
    let pairs = runs.folds.iter().flat_map(|fold| fold.split.val.iter().map(|case| case_files(fold, case)));
    let pairs = pairs.collect::<Result<Vec<CaseFiles>>>()?;
    let scores = score(&pairs, schema)?;
    let by_fold = FoldScores::new(&scores, runs.folds.iter().map(|fold| fold.split.val.len()));
    score_files::write_all(out, &scores, &classes, Some(&by_fold))?;

    let cases = runs.validation_cases();
    let rows = [("command", command_line()), ("model size", config.model_size.clone())];
    let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value));
    let histories = runs.folds.iter().map(|fold| History::read(&fold.run.path("log.jsonl")));
    let report = Report {
        title: format!("{}: {} cases in {} folds", config.data.name, cases.len(), runs.folds.len()),
        settings: rows.chain(by_fold.rows()).collect(),
        classes: classes.clone(),
        overlays: draw_worst(schema, &cases, &pairs, &scores)?,
        concepts: None,
        scores: scores.clone(),
        histories: histories.collect::<Result<_, _>>()?,
    };
    report.write_all(out)?;
    print_table(&scores, &classes);
    for (name, value) in by_fold.rows() {
        tracing::info!("{name}: {value}");
    }
    tracing::info!("report in {}", out.join("report.html").display());
    Ok(())
}

/// The prediction of a fold and the reference of one of its validation cases.
fn case_files(fold: &FoldRun, case: &Case) -> Result<CaseFiles> {
    let prediction = fold.run.path("predictions").join(format!("{}.nii.gz", case.id));
    let reference = case.labels.clone().context("a validation case has labels")?;
    Ok(CaseFiles { case: case.id.clone(), prediction, reference })
}
