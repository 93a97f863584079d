//! Scores of label maps in memory and in folders, and the distances that they are computed from.

use std::path::PathBuf;

use bipvl_data::read_label_schema;
use bipvl_imaging::LabelClass;
use bipvl_metrics::{
    CaseScores, Convention, Discretization, MetricConfig, Scores, Spacing, SurfaceDistances, score_labels,
};
use bipvl_report::{
    evaluate::{EvaluationConfig, Pairing},
    table,
};
use numpy::{PyArray1, PyArray3};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    error,
    labels::{LabelArray, hull},
    pool::{compute, report},
};

/// Spacing of three axes, or of the last two where the first is the one plane of a picture.
fn spacing_of(spacing: &[f64]) -> PyResult<Spacing> {
    if !spacing.iter().all(|length| length.is_finite() && *length > 0.0) {
        return Err(PyValueError::new_err(format!("spacing {spacing:?} mm is not positive and finite")));
    }
    match *spacing {
        [y, z] => Ok(Spacing::Picture([y, z])),
        [x, y, z] => Ok(Spacing::Volume([x, y, z])),
        _ => Err(PyValueError::new_err(format!("spacing has {} numbers, not one per axis", spacing.len()))),
    }
}

fn convention_of(name: &str) -> PyResult<Convention> {
    name.parse().map_err(|reason: bipvl_metrics::Error| PyValueError::new_err(reason.to_string()))
}

/// Scores one pair of label maps; the result is that of the program as JSON.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn score(
    py: Python<'_>,
    prediction: &Bound<'_, PyAny>,
    reference: &Bound<'_, PyAny>,
    spacing: Vec<f64>,
    classes: Vec<(String, Vec<u16>)>,
    convention: &str,
    tolerance_mm: f64,
    ignore_label: Option<u16>,
    threads: Option<usize>,
) -> PyResult<String> {
    let (spacing, convention) = (spacing_of(&spacing)?, convention_of(convention)?);
    let (prediction, reference) = (LabelArray::new(prediction)?, LabelArray::new(reference)?);
    let (prediction, reference) = (prediction.labels(), reference.labels());
    let config = MetricConfig { convention, tolerance_mm, ignore_label };
    let classes: Vec<LabelClass> =
        classes.into_iter().map(|(name, labels)| LabelClass::new(name, labels)).collect();
    let scores = compute(py, threads, |_| {
        let classes = score_labels(&*prediction, &*reference, spacing, &classes, &config)?;
        let case = CaseScores { case: "case".to_owned(), classes, diagonal_mm: None };
        Ok::<Scores, bipvl_metrics::Error>(Scores::new(&config, vec![case]))
    })?;
    let scores = scores.map_err(|reason| PyValueError::new_err(reason.to_string()))?;
    serde_json::to_string(&scores).map_err(error)
}

/// The table that the program prints for scores in JSON.
#[pyfunction]
pub(crate) fn score_table(scores: &str) -> PyResult<String> {
    let scores: Scores = serde_json::from_str(scores).map_err(error)?;
    let classes: Vec<String> = scores.mean.keys().cloned().collect();
    Ok(table::text(&scores, &classes))
}

/// Distances and weights of the surface elements of one label: of the prediction, then of the reference.
type Distances<'py> = [Bound<'py, PyArray1<f64>>; 4];

/// For each label the distances between the surfaces of two label maps in mm, and the weights of their elements.
#[pyfunction]
pub(crate) fn surface_distances<'py>(
    py: Python<'py>,
    prediction: &Bound<'py, PyAny>,
    reference: &Bound<'py, PyAny>,
    spacing: Vec<f64>,
    labels: Vec<u16>,
    surfels: bool,
    threads: Option<usize>,
) -> PyResult<Vec<Distances<'py>>> {
    let spacing = spacing_of(&spacing)?;
    let (prediction, reference) = (LabelArray::new(prediction)?, LabelArray::new(reference)?);
    let (mut prediction, mut reference) = (prediction.labels(), reference.labels());
    let discretization = if surfels { Discretization::Surfels } else { Discretization::EdgeVoxels };
    let distances = compute(py, threads, |_| {
        // Outside of the array is background, so what lies around both masks adds nothing.
        let boxes = prediction.bounds().into_iter().chain(reference.bounds());
        if let Some(part) = boxes.reduce(hull) {
            prediction.crop(&part);
            reference.crop(&part);
        }
        bipvl_metrics::surface_distances(discretization, &*prediction, &*reference, &labels, spacing)
    })?;
    let arrays = |of_label: SurfaceDistances| {
        let SurfaceDistances { from_prediction: a, from_reference: b } = of_label;
        [a.distances_mm, a.weights, b.distances_mm, b.weights].map(|values| PyArray1::from_vec(py, values))
    };
    Ok(distances.into_iter().map(arrays).collect())
}

/// Scores of a folder, as JSON, and what is wrong with its cases.
type FolderScores = (String, Vec<String>, Vec<String>);

/// Scores the label maps of a folder against those of another. Returns the scores as JSON, failures and remarks;
/// `progress(done, total, case)` is called before each case.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn evaluate_folder(
    py: Python<'_>,
    prediction: PathBuf,
    reference: PathBuf,
    dataset: Option<PathBuf>,
    convention: &str,
    tolerance_mm: f64,
    progress: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<FolderScores> {
    let schema = dataset.as_deref().map(read_label_schema).transpose().map_err(error)?;
    let config = EvaluationConfig { schema, convention: convention_of(convention)?, tolerance_mm };
    let mut failure = None;
    let evaluation = compute(py, threads, |interrupt| {
        let pairing = Pairing::of_folders(&prediction, &reference)?;
        pairing.evaluate(&config, &mut |state| {
            report(interrupt, progress.as_ref(), (state.done, state.total, state.case), &mut failure)
        })
    })?;
    if let Some(reason) = failure {
        return Err(reason);
    }
    let evaluation = evaluation.map_err(error)?;
    let failures = evaluation.failures.iter().map(ToString::to_string).collect();
    let unreferenced = evaluation.unreferenced.iter();
    let remarks =
        unreferenced.map(|path| format!("{}: no reference with this name, not scored", path.display()));
    let unknown = evaluation.unknown_label_summaries().into_iter().map(|unknown| unknown.to_string());
    let remarks = remarks.chain(unknown).collect();
    Ok((serde_json::to_string(&evaluation.scores).map_err(error)?, failures, remarks))
}

/// A label map of a file `[x, y, z]`, and its affine in mm, RAS+.
type LabelsAndAffine<'py> = (Bound<'py, PyArray3<u16>>, [[f64; 4]; 4]);

/// Reads a label map of any format.
#[pyfunction]
pub(crate) fn read_labels(py: Python<'_>, path: PathBuf) -> PyResult<LabelsAndAffine<'_>> {
    let labels = compute(py, None, |_| bipvl_imaging::read_labels(&path))?.map_err(error)?;
    let affine = crate::segmentation::rows(labels.grid());
    Ok((PyArray3::from_owned_array(py, labels.into_voxels()), affine))
}
