//! Scores of one case.

use bipvl_imaging::{Grid, LabelClass, LabelMap};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::convention::{Convention, MaskPresence};
use crate::disjoint::per_disjoint_group;
use crate::ignore::WithoutIgnored;
use crate::labels::{Labels, Spacing};
use crate::overlap::overlaps;
use crate::surface::surface_distances;

/// Scores of one class in one case; `None` where the convention leaves a score undefined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassScores {
    /// Dice similarity coefficient, 0 to 1.
    pub dice: Option<f64>,
    /// 95 % Hausdorff distance in mm.
    pub hd95_mm: Option<f64>,
    /// Normalized surface Dice at the tolerance, 0 to 1.
    pub nsd: Option<f64>,
    /// Average symmetric surface distance in mm.
    pub assd_mm: Option<f64>,
    /// Whether prediction and reference contain the class.
    pub presence: MaskPresence,
}

/// Scores of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseScores {
    /// Case id.
    pub case: String,
    /// Scores by class name, in the order of the classes.
    pub classes: IndexMap<String, ClassScores>,
    /// Diagonal of the case's grid in mm, the distance that penalizes a missed class. Not written to JSON.
    #[serde(skip)]
    pub diagonal_mm: Option<f64>,
}

/// Which metrics to compute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricConfig {
    /// Metric definitions.
    pub convention: Convention,
    /// Tolerance of NSD in mm, inclusive.
    pub tolerance_mm: f64,
    /// Label of reference voxels without annotation, which are excluded from all scores (nnU-Net's `ignore`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_label: Option<u16>,
}

impl Default for MetricConfig {
    fn default() -> Self {
        Self { convention: Convention::default(), tolerance_mm: 2.0, ignore_label: None }
    }
}

/// Scores `prediction` against `reference` for each of `classes`. Labels without a class are background.
///
/// A class with several labels is their union. Distances use the spacing of the reference and assume perpendicular axes.
/// Voxels whose reference is [`MetricConfig::ignore_label`] are background in both masks.
///
/// # Errors
///
/// If the grids differ, the spacing is not positive, a class has label 0, the ignore label or none, two classes have
/// the same name or the same labels, or the tolerance is negative or not finite.
pub fn score_case(
    case: &str,
    prediction: &LabelMap,
    reference: &LabelMap,
    classes: &[LabelClass],
    config: &MetricConfig,
) -> Result<CaseScores, Error> {
    check_grids(case, prediction.grid(), reference.grid())?;
    let spacing = Spacing::Volume(reference.grid().spacing());
    Ok(CaseScores {
        case: case.to_owned(),
        classes: score_labels(prediction, reference, spacing, classes, config)?,
        diagonal_mm: Some(diagonal_mm(reference.grid())),
    })
}

/// [`score_case`] for labels in the memory of the caller.
///
/// # Errors
///
/// As [`score_case`], but for grid and spacing.
///
/// # Panics
///
/// If the shapes differ.
pub fn score_labels(
    prediction: &dyn Labels,
    reference: &dyn Labels,
    spacing: Spacing,
    classes: &[LabelClass],
    config: &MetricConfig,
) -> Result<IndexMap<String, ClassScores>, Error> {
    check_tolerance(config.tolerance_mm)?;
    check_classes(classes, config.ignore_label)?;
    let sets: Vec<&[u16]> = classes.iter().map(|class| class.labels.as_slice()).collect();
    let convention = config.convention;
    let annotated =
        config.ignore_label.map(|ignore_label| WithoutIgnored { prediction, reference, ignore_label });
    let prediction = annotated.as_ref().map_or(prediction, |annotated| annotated as &dyn Labels);
    let overlaps = overlaps(prediction, reference, &sets);
    let distances = per_disjoint_group(prediction, reference, &sets, |prediction, reference, labels| {
        surface_distances(convention.discretization(), prediction, reference, labels, spacing)
    });
    let scores = overlaps
        .into_iter()
        .zip(&distances)
        .map(|(overlap, distances)| convention.scores(overlap, distances, config.tolerance_mm));
    Ok(classes.iter().map(|class| class.name.clone()).zip(scores).collect())
}

fn check_tolerance(tolerance_mm: f64) -> Result<(), Error> {
    if tolerance_mm.is_finite() && tolerance_mm >= 0.0 {
        Ok(())
    } else {
        Err(Error::InvalidTolerance { tolerance_mm })
    }
}

fn check_classes(classes: &[LabelClass], ignore_label: Option<u16>) -> Result<(), Error> {
    for (class_index, class) in classes.iter().enumerate() {
        let name = || class.name.clone();
        if class.labels.is_empty() {
            return Err(Error::NoLabel { name: name() });
        }
        if class.labels.contains(&0) {
            return Err(Error::BackgroundLabel { name: name() });
        }
        if let Some(label) = ignore_label.filter(|label| class.labels.contains(label)) {
            return Err(Error::IgnoredClass { name: name(), label });
        }
        let previous = &classes[..class_index];
        if previous.iter().any(|other| other.name == class.name) {
            return Err(Error::DuplicateName { name: name() });
        }
        if let Some(other) = previous.iter().find(|other| has_same_labels(other, class)) {
            let (first, labels) = (other.name.clone(), class.labels.clone());
            return Err(Error::DuplicateLabels { first, second: name(), labels });
        }
    }
    Ok(())
}

fn has_same_labels(a: &LabelClass, b: &LabelClass) -> bool {
    let contains_all = |a: &LabelClass, b: &LabelClass| b.labels.iter().all(|label| a.labels.contains(label));
    contains_all(a, b) && contains_all(b, a)
}

fn check_grids(case: &str, prediction: &Grid, reference: &Grid) -> Result<(), Error> {
    let spacing = reference.spacing();
    if !spacing.iter().all(|length| length.is_finite() && *length > 0.0) {
        return Err(Error::InvalidSpacing { case: case.to_owned(), spacing });
    }
    prediction
        .ensure_matches(reference)
        .map_err(|mismatch| Error::GridMismatch { case: case.to_owned(), mismatch })
}

fn diagonal_mm(grid: &Grid) -> f64 {
    let (shape, spacing) = (grid.shape(), grid.spacing());
    (0..3).map(|axis| (shape[axis] as f64 * spacing[axis]).powi(2)).sum::<f64>().sqrt()
}
