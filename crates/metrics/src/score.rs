//! The scores of one case, class by class.

use bipvl_imaging::{Grid, LabelMap};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::convention::{Convention, State};
use crate::layers::per_slice;
use crate::overlap::overlaps;
use crate::surface::surface_distances;

/// The scores of one class in one case; `None` where the convention leaves a score undefined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassScores {
    /// Dice, 0 to 1.
    pub dice: Option<f64>,
    /// 95 % Hausdorff distance in mm.
    pub hd95_mm: Option<f64>,
    /// Normalized surface Dice at the tolerance, 0 to 1.
    pub nsd: Option<f64>,
    /// Average symmetric surface distance in mm.
    pub assd_mm: Option<f64>,
    /// Which masks are empty.
    pub state: State,
}

/// The scores of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseScores {
    /// The case's id.
    pub case: String,
    /// The scores by the class's name, in the order asked for.
    pub classes: IndexMap<String, ClassScores>,
    /// The diagonal of the case's grid in mm, the penalty for a missed class. It is not written to JSON,
    /// where the means hold what was made of it.
    #[serde(skip)]
    pub diagonal_mm: Option<f64>,
}

/// How to score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whose definitions to follow.
    pub convention: Convention,
    /// The distance in mm up to which NSD forgives, itself included.
    pub tolerance_mm: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { convention: Convention::default(), tolerance_mm: 2.0 }
    }
}

/// A class to score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassLabels {
    /// The class's name.
    pub name: String,
    /// Its labels in both label maps, each voxel of any of them being the class's; never 0, which is
    /// background. Classes may overlap.
    pub labels: Vec<u16>,
}

/// Scores `prediction` against `reference`, one class after the other in the order of `classes`. Labels
/// that no class has count as background.
///
/// A class of several labels is scored as their union, and a voxel counts for every class that has its label.
/// Spacing is that of the reference's grid; its axes are taken to be perpendicular.
///
/// # Errors
///
/// When the grids differ, when their spacing is not positive, when a class has label 0 or none, when two
/// classes have one name or the same labels, or when the tolerance is negative or not finite.
pub fn score_case(
    case: &str,
    prediction: &LabelMap,
    reference: &LabelMap,
    classes: &[ClassLabels],
    settings: &Settings,
) -> Result<CaseScores, Error> {
    check_settings(settings)?;
    check_classes(classes)?;
    check_grids(case, prediction.grid(), reference.grid())?;
    let sets: Vec<&[u16]> = classes.iter().map(|class| class.labels.as_slice()).collect();
    let convention = settings.convention;
    let overlaps = overlaps(prediction, reference, &sets);
    let distances = per_slice(prediction, reference, &sets, |prediction, reference, labels| {
        surface_distances(convention.elements(), prediction, reference, labels)
    });
    let scores = overlaps
        .into_iter()
        .zip(&distances)
        .map(|(overlap, distances)| convention.scores(overlap, distances, settings.tolerance_mm));
    Ok(CaseScores {
        case: case.to_owned(),
        classes: classes.iter().map(|class| class.name.clone()).zip(scores).collect(),
        diagonal_mm: Some(diagonal_mm(reference.grid())),
    })
}

fn check_settings(settings: &Settings) -> Result<(), Error> {
    let tolerance_mm = settings.tolerance_mm;
    if tolerance_mm.is_finite() && tolerance_mm >= 0.0 {
        Ok(())
    } else {
        Err(Error::Tolerance { tolerance_mm })
    }
}

fn check_classes(classes: &[ClassLabels]) -> Result<(), Error> {
    for (class_index, class) in classes.iter().enumerate() {
        if class.labels.is_empty() {
            return Err(Error::WithoutLabel { name: class.name.clone() });
        }
        if class.labels.contains(&0) {
            return Err(Error::BackgroundClass { name: class.name.clone() });
        }
        let shares = |other: &&ClassLabels| other.name == class.name || is_same_set(other, class);
        if let Some(other) = classes[..class_index].iter().find(shares) {
            return Err(Error::ClassesShare {
                first: other.name.clone(),
                second: class.name.clone(),
                labels: class.labels.clone(),
            });
        }
    }
    Ok(())
}

fn is_same_set(one: &ClassLabels, other: &ClassLabels) -> bool {
    let holds = |one: &ClassLabels, other: &ClassLabels| other.labels.iter().all(|l| one.labels.contains(l));
    holds(one, other) && holds(other, one)
}

fn check_grids(case: &str, prediction: &Grid, reference: &Grid) -> Result<(), Error> {
    let spacing = reference.spacing();
    if !spacing.iter().all(|length| length.is_finite() && *length > 0.0) {
        return Err(Error::Spacing { case: case.to_owned(), spacing });
    }
    if !reference.is_same_as(prediction) {
        return Err(Error::GridsDiffer {
            case: case.to_owned(),
            prediction: Box::new(prediction.clone()),
            reference: Box::new(reference.clone()),
        });
    }
    Ok(())
}

fn diagonal_mm(grid: &Grid) -> f64 {
    let (shape, spacing) = (grid.shape(), grid.spacing());
    (0..3).map(|axis| (shape[axis] as f64 * spacing[axis]).powi(2)).sum::<f64>().sqrt()
}
