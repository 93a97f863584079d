//! `bipvl evaluate`: scores label maps against a reference.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl::data::{LabelClass, LabelRemap, read_label_schema, read_reference};
use bipvl_imaging::read_labels;
use bipvl_io::atomic_write;
use bipvl_metrics::{ClassLabels, MetricConfig, Scores, score_case};
use bipvl_report::table;

use super::predict::name_of;
use crate::{args::EvaluateArgs, progress};

/// Scores every case of the reference folder, writes the scores and prints their table.
pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if args.tolerance_mm.is_nan() || args.tolerance_mm < 0.0 {
        bail!("--tolerance-mm: expected at least 0, found {}", args.tolerance_mm);
    }
    let pairs = pairs(&args.pred, &args.reference)?;
    let (classes, ignore_label) = classes(args, &pairs)?;
    let settings =
        MetricConfig { convention: args.convention, tolerance_mm: args.tolerance_mm, ignore_label };
    let scores = score(&pairs, &classes, &[], &settings)?;
    write_scores(&args.json, &scores)?;
    let names: Vec<String> = classes.into_iter().map(|class| class.name).collect();
    print_table(&scores, &names);
    Ok(())
}

/// A case with its prediction and its reference.
pub(crate) struct Pair {
    pub(crate) case: String,
    pub(crate) prediction: PathBuf,
    pub(crate) reference: PathBuf,
}

/// Scores pairs of files; labels of the references are remapped by `remap`.
pub(crate) fn score(
    pairs: &[Pair],
    classes: &[ClassLabels],
    remap: &[LabelRemap],
    settings: &MetricConfig,
) -> Result<Scores> {
    let bar = progress::bar("scoring", pairs.len());
    let mut cases = Vec::with_capacity(pairs.len());
    for pair in pairs {
        bar.set_message(pair.case.clone());
        let (prediction, reference) =
            (read_labels(&pair.prediction)?, read_reference(&pair.reference, remap)?);
        let scores = score_case(&pair.case, &prediction, &reference, classes, settings)
            .with_context(|| format!("{} against {}", pair.prediction.display(), pair.reference.display()))?;
        cases.push(scores);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Scores::new(settings, cases))
}

/// Writes scores as JSON.
pub(crate) fn write_scores(path: &Path, scores: &Scores) -> Result<()> {
    let text = serde_json::to_string_pretty(scores).context("scores as JSON")?;
    Ok(atomic_write(path, text.as_bytes())?)
}

/// Prints the scores for a person.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn print_table(scores: &Scores, classes: &[String]) {
    println!("{}", table::text(scores, classes));
}

/// Every reference with the prediction of the same name; predictions without reference are told of.
fn pairs(predictions: &Path, references: &Path) -> Result<Vec<Pair>> {
    let (predicted, expected) = (label_maps(predictions)?, label_maps(references)?);
    let find = |name: &str| predicted.iter().find(|(other, _)| other == name).map(|(_, path)| path.clone());
    let mut pairs = Vec::with_capacity(expected.len());
    for (case, reference) in &expected {
        let Some(prediction) = find(case) else {
            bail!("{}: expected a prediction of {case} in it, found none", predictions.display());
        };
        pairs.push(Pair { case: case.clone(), prediction, reference: reference.clone() });
    }
    for (name, path) in &predicted {
        if !expected.iter().any(|(case, _)| case == name) {
            tracing::warn!("{}: no reference of this name, not scored", path.display());
        }
    }
    Ok(pairs)
}

fn label_maps(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((name_of(&path).filter(|name| !name.starts_with('.'))?, path))
        })
        .collect();
    if found.is_empty() {
        bail!("{}: expected label maps named .nii or .nii.gz, found none", folder.display());
    }
    found.sort();
    Ok(found)
}

/// Classes of a `dataset.json` or of a configuration, or the numbers of all labels that occur.
fn classes(args: &EvaluateArgs, pairs: &[Pair]) -> Result<(Vec<ClassLabels>, Option<u16>)> {
    let beside = args.reference.parent().map(|folder| folder.join("dataset.json"));
    let file = args.dataset.clone().or_else(|| beside.filter(|path| path.exists()));
    if let Some(file) = file {
        let schema = read_label_schema(&file)?;
        let class =
            |class: &LabelClass| ClassLabels { name: class.name.clone(), labels: class.labels.clone() };
        return Ok((schema.classes().iter().map(class).collect(), schema.ignore()));
    }
    let mut labels = BTreeSet::new();
    for pair in pairs {
        for path in [&pair.prediction, &pair.reference] {
            labels.extend(read_labels(path)?.voxels().iter().copied().filter(|label| *label > 0));
        }
    }
    let class = |label: u16| ClassLabels { name: label.to_string(), labels: vec![label] };
    Ok((labels.into_iter().map(class).collect(), None))
}
