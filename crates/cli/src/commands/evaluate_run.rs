//! Evaluates a run: predicts held-out cases with its best weights, scores them on the grids of their files, and writes
//! scores, curves and report.

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, read_channels, read_reference},
    infer::{DataConfig, Predictor},
    run::RunDir,
};
use bipvl_imaging::read_labels;
use bipvl_io::atomic_write;
use bipvl_metrics::{ClassLabels, MetricConfig, Scores};
use bipvl_report::{
    Report,
    evaluate::CaseFiles,
    history::History,
    overlay::{Overlay, OverlayCase},
    table,
};
use burn::tensor::Device;

use super::{
    concept_attribution::attribute_concepts,
    evaluate::{print_table, score, write_scores},
};
use crate::{interrupt, progress};

/// Cases with a picture in the report, the worst ones; more would make it larger than a few megabytes.
const MAX_PICTURES: usize = 8;

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
    let (classes, names) = (data.class_labels(), schema.names());
    let metrics = MetricConfig { ignore_label: schema.ignore(), ..MetricConfig::default() };
    let scores = score(&pairs, &classes, schema.remap(), &metrics)?;
    write_scores(&run.path("scores.json"), &scores)?;
    atomic_write(&run.path("scores.md"), table::markdown(&scores, &names).as_bytes())?;
    let mut rows: Vec<(String, String)> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    rows.extend([
        ("model size".to_owned(), run.config.model_size.clone()),
        ("seed".to_owned(), run.config.train.seed.to_string()),
        ("validation".to_owned(), validation_cases(data)),
    ]);
    rows.extend(classes.iter().filter_map(region_row));
    let report = Report {
        title: format!("{}: {} held-out cases", data.name, cases.len()),
        settings: rows,
        classes: names.clone(),
        overlays: draw_worst(run, &cases, &pairs, &scores)?,
        concepts: Some(attribute_concepts(run, &predictor, &cases, &scores)?),
        scores: scores.clone(),
        histories: vec![History::read(&run.path("log.jsonl"))?],
    };
    report.write_figures(run.dir())?;
    report.write(&run.path("report.html"))?;
    print_table(&scores, &names);
    tracing::info!("report in {}", run.path("report.html").display());
    match total - cases.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {total} cases could not be segmented and are not scored"),
    }
}

/// A row for a class with several labels.
fn region_row(class: &ClassLabels) -> Option<(String, String)> {
    let labels: Vec<String> = class.labels.iter().map(u16::to_string).collect();
    (labels.len() > 1).then(|| (class.name.clone(), format!("labels {}", labels.join(", "))))
}

fn validation_cases(data: &DataConfig) -> String {
    if data.split.val.is_some() {
        "cases of the configuration".to_owned()
    } else {
        format!("fold {}", data.fold)
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

/// Pictures of the cases with the lowest mean Dice.
pub(super) fn draw_worst(
    run: &RunDir,
    cases: &[Case],
    pairs: &[CaseFiles],
    scores: &Scores,
) -> Result<Vec<Overlay>> {
    let mean = |index: usize| {
        let dice: Vec<f64> = scores.cases[index].classes.values().filter_map(|class| class.dice).collect();
        dice.iter().sum::<f64>() / dice.len().max(1) as f64
    };
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|a, b| mean(*a).total_cmp(&mean(*b)));
    let (classes, remap) = (&run.config.data.class_labels(), run.config.data.label_schema.remap());
    let draw = |index: usize| -> Result<Overlay> {
        let image = read_channels(&cases[index].images)?.swap_remove(0);
        let prediction = read_labels(&pairs[index].prediction)?;
        let reference = read_reference(&pairs[index].reference, remap, image.grid())?;
        let (image, prediction, reference) = (&image, &prediction, &reference);
        Ok(Overlay::draw(&OverlayCase { case: &cases[index].id, image, prediction, reference, classes })?)
    };
    order.into_iter().take(MAX_PICTURES).map(draw).collect()
}
