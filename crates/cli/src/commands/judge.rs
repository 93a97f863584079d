//! Segments the validation cases of a run with its best weights, scores them on the files' own grids, and
//! writes scores, curves and report.

use std::fs;

use anyhow::{Context, Result};
use bipvl::{
    config::DataConfig,
    data::{Case, read_channels, read_reference},
    infer::Predictor,
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
    concepts::concepts,
    evaluate::{print_table, score, write_scores},
};
use crate::progress;

/// Pictures of so many cases, worst first, keep the report below a few megabytes.
const PICTURES: usize = 8;

/// Judges a run; `settings` are rows that the report adds to its own.
pub(crate) fn judge(
    run: &RunDir,
    cases: &[Case],
    device: &Device,
    settings: &[(&str, String)],
) -> Result<()> {
    let predictor = run.predictor(run.config.infer, device)?;
    let pairs = segment(run, &predictor, cases)?;
    let classes = run.config.data.class_labels();
    let schema = &run.config.data.label_schema;
    let config = MetricConfig { ignore_label: schema.ignore(), ..MetricConfig::default() };
    let scores = score(&pairs, &classes, schema.remap(), &config)?;
    write_scores(&run.path("scores.json"), &scores)?;
    let table = table::markdown(&scores, &run.config.data.label_schema.names());
    atomic_write(&run.path("scores.md"), table.as_bytes())?;
    let history = History::read(&run.path("log.jsonl"))?;
    let mut rows: Vec<(String, String)> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    rows.extend([
        ("model size".to_owned(), run.config.model_size.clone()),
        ("seed".to_owned(), run.config.train.seed.to_string()),
        ("validation".to_owned(), validation(&run.config.data)),
    ]);
    rows.extend(classes.iter().filter_map(region_in_words));
    let report = Report {
        title: format!("{}: {} cases that did not train", run.config.data.name, cases.len()),
        settings: rows,
        classes: run.config.data.label_schema.names(),
        overlays: draw_worst(run, cases, &pairs, &scores, &classes)?,
        concepts: Some(concepts(run, &predictor, cases, &scores)?),
        scores: scores.clone(),
        histories: vec![history],
    };
    report.write_figures(&run.folder)?;
    report.write(&run.path("report.html"))?;
    print_table(&scores, &run.config.data.label_schema.names());
    tracing::info!("report in {}", run.path("report.html").display());
    Ok(())
}

/// A row on a class that is the union of several labels.
fn region_in_words(class: &ClassLabels) -> Option<(String, String)> {
    let labels: Vec<String> = class.labels.iter().map(u16::to_string).collect();
    (labels.len() > 1).then(|| (class.name.clone(), format!("the labels {} together", labels.join(", "))))
}

/// Which cases chose the weights.
fn validation(data: &DataConfig) -> String {
    if data.split.val.is_some() {
        "as the configuration lists".to_owned()
    } else {
        format!("fold {}", data.fold)
    }
}

/// Writes a label map for each case.
fn segment(run: &RunDir, predictor: &Predictor, cases: &[Case]) -> Result<Vec<CaseFiles>> {
    let folder = run.path("predictions");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let bar = progress::bar("segmenting", cases.len());
    let mut pairs = Vec::with_capacity(cases.len());
    for case in cases {
        let prediction = folder.join(format!("{}.nii.gz", case.id));
        let own = run.case_descriptions_path(case).map(|file| run.case_text(&file)).transpose()?;
        let own = own.map(|text| predictor.with_prompts(&[text.full]));
        let predictor = own.as_ref().unwrap_or(predictor);
        let mut watch = progress::patches(&bar, &case.id);
        bipvl_imaging::write(&prediction, &predictor.predict_files(&case.images, &mut watch)?)?;
        let reference = case.labels.clone().context("a validation case has labels")?;
        pairs.push(CaseFiles { case: case.id.clone(), prediction, reference });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(pairs)
}

/// Pictures of the cases with the lowest mean Dice.
pub(super) fn draw_worst(
    run: &RunDir,
    cases: &[Case],
    pairs: &[CaseFiles],
    scores: &Scores,
    classes: &[ClassLabels],
) -> Result<Vec<Overlay>> {
    let mean = |index: usize| {
        let dice: Vec<f64> = scores.cases[index].classes.values().filter_map(|class| class.dice).collect();
        dice.iter().sum::<f64>() / dice.len().max(1) as f64
    };
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|one, other| mean(*one).total_cmp(&mean(*other)));
    let remap = run.config.data.label_schema.remap();
    let draw = |index: usize| -> Result<Overlay> {
        let image = read_channels(&cases[index].images)?.swap_remove(0);
        let (prediction, reference) =
            (read_labels(&pairs[index].prediction)?, read_reference(&pairs[index].reference, remap)?);
        let (image, prediction, reference) = (&image, &prediction, &reference);
        Ok(Overlay::draw(&OverlayCase { case: &cases[index].id, image, prediction, reference, classes })?)
    };
    order.into_iter().take(PICTURES).map(draw).collect()
}
