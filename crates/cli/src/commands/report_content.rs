//! Content of the report of a run: settings, and overlays of the worst cases.

use anyhow::Result;
use bipvl::{
    config::Config,
    data::{Case, LabelSchema, read_channels, read_reference},
    infer::DataConfig,
};
use bipvl_imaging::{LabelClass, read_labels};
use bipvl_metrics::Scores;
use bipvl_report::{
    evaluate::CaseFiles,
    overlay::{Overlay, OverlayCase},
};

/// Cases with a picture in the report; more would make it larger than a few megabytes.
pub(super) const MAX_PICTURES: usize = 8;

/// Rows of the report: the given ones, then size, seed, validation cases, and the labels of regions.
pub(super) fn run_settings(config: &Config, given: &[(&str, String)]) -> Vec<(String, String)> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let of_run = [
        ("model size".to_owned(), config.model_size.clone()),
        ("seed".to_owned(), config.train.seed.to_string()),
        ("validation".to_owned(), validation_cases(&config.data)),
    ];
    let regions = config.data.label_schema.classes().iter().filter_map(region);
    given.chain(of_run).chain(regions).collect()
}

fn validation_cases(data: &DataConfig) -> String {
    if data.split.val.is_some() {
        "cases of the configuration".to_owned()
    } else {
        format!("fold {}", data.fold)
    }
}

/// A row for a class with several labels.
fn region(class: &LabelClass) -> Option<(String, String)> {
    let labels: Vec<String> = class.labels.iter().map(u16::to_string).collect();
    (labels.len() > 1).then(|| (class.name.clone(), format!("labels {}", labels.join(", "))))
}

/// Pictures of the cases with the lowest mean Dice.
pub(super) fn draw_worst(
    schema: &LabelSchema,
    cases: &[Case],
    pairs: &[CaseFiles],
    scores: &Scores,
) -> Result<Vec<Overlay>> {
    let draw = |index: usize| -> Result<Overlay> {
        let image = read_channels(&cases[index].images)?.swap_remove(0);
        let prediction = read_labels(&pairs[index].prediction)?;
        let reference = read_reference(&pairs[index].reference, schema.remap(), image.grid())?;
        let (image, prediction, reference) = (&image, &prediction, &reference);
        let (case, classes) = (cases[index].id.as_str(), schema.classes());
        Ok(Overlay::draw(&OverlayCase { case, image, prediction, reference, classes })?)
    };
    scores.worst_first().into_iter().take(MAX_PICTURES).map(draw).collect()
}
