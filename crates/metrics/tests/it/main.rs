//! Integration tests of the public API.

mod bootstrap;
mod empty_masks;
mod errors;
mod ignore;
mod json;
mod means;
mod properties;
mod random_masks;
mod regions;
mod shapes;

use bipvl_imaging::{Grid, LabelClass, LabelMap};
use bipvl_metrics::{CaseScores, ClassScores, Convention, MetricConfig, score_case};
use ndarray::Array3;

/// A label map of `shape` and `spacing` with label 1 inside.
fn mask(shape: [usize; 3], spacing: [f64; 3], is_inside: impl Fn([usize; 3]) -> bool) -> LabelMap {
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| u16::from(is_inside([x, y, z])));
    LabelMap::new(voxels, Grid::with_spacing(shape, spacing))
}

/// One class per name, with labels from 1.
fn classes(names: &[&str]) -> Vec<LabelClass> {
    let class = |(name, label): (&&str, u16)| LabelClass::new(*name, vec![label]);
    names.iter().zip(1..).map(class).collect()
}

/// Scores label 1 as the class `liver`.
fn score_liver(prediction: &LabelMap, reference: &LabelMap, config: &MetricConfig) -> CaseScores {
    score_case("case_01", prediction, reference, &classes(&["liver"]), config).expect("one grid")
}

/// The scores of label 1 at a tolerance of 2 mm.
fn score(convention: Convention, prediction: &LabelMap, reference: &LabelMap) -> ClassScores {
    let config = MetricConfig { convention, ..MetricConfig::default() };
    score_liver(prediction, reference, &config).classes["liver"]
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.expect("a score");
    assert!((found - expected).abs() <= tolerance, "expected {expected}, found {found}");
}
