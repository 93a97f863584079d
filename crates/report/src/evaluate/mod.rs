//! Evaluation of predicted label map files against references.
//!
//! It is in this crate because `bipvl-metrics` opens no files, and a caller that scores files usually needs the
//! tables too. It depends on no network, so a service or binding can use it as it is.
//!
//! A case that cannot be read or scored does not stop the others: it is a [`CaseFailure`] of the [`Evaluation`].

mod labels;
mod pairing;
mod unknown_labels;

pub use pairing::Pairing;
pub use unknown_labels::{UnknownLabel, UnknownLabelSummary};

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bipvl_imaging::{LabelClass, LabelSchema, apply_remap};
use bipvl_metrics::{CaseScores, Convention, MetricConfig, Scores, labels_without_class, score_case};

use crate::{Error, Result};

/// The files of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFiles {
    /// Case id.
    pub case: String,
    /// Predicted label map.
    pub prediction: PathBuf,
    /// Reference label map.
    pub reference: PathBuf,
}

/// Options of an evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationConfig {
    /// Classes to score, ignore label, and labels of the references that count as others; `None` for every label that
    /// occurs, named by its number, or by its segment where all files are DICOM.
    pub schema: Option<LabelSchema>,
    /// Metric definitions.
    pub convention: Convention,
    /// Tolerance of NSD in mm.
    pub tolerance_mm: f64,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        let MetricConfig { convention, tolerance_mm, .. } = MetricConfig::default();
        Self { schema: None, convention, tolerance_mm }
    }
}

impl EvaluationConfig {
    /// For the classes of a schema, with the default metrics.
    pub fn for_schema(schema: &LabelSchema) -> Self {
        Self { schema: Some(schema.clone()), ..Self::default() }
    }

    /// The metrics, with the ignore label of the schema.
    pub fn metrics(&self) -> MetricConfig {
        let ignore_label = self.schema.as_ref().and_then(LabelSchema::ignore);
        MetricConfig { convention: self.convention, tolerance_mm: self.tolerance_mm, ignore_label }
    }
}

/// The result of an evaluation.
#[derive(Debug)]
pub struct Evaluation {
    /// Scored classes.
    pub classes: Vec<LabelClass>,
    /// Scores of the cases that could be scored.
    pub scores: Scores,
    /// Cases that could not be scored.
    pub failures: Vec<CaseFailure>,
    /// Labels that belong to no class; they were scored as background.
    pub unknown_labels: Vec<UnknownLabel>,
    /// Predictions without a reference; they were not scored.
    pub unreferenced: Vec<PathBuf>,
}

/// A case that could not be scored.
#[derive(Debug)]
pub struct CaseFailure {
    /// Case id.
    pub case: String,
    /// The reason.
    pub error: Error,
    /// Prediction and reference if both were read and could not be compared.
    files: Option<CaseFiles>,
}

/// Number of finished cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationProgress<'a> {
    /// The case that follows.
    pub case: &'a str,
    /// Finished cases.
    pub done: usize,
    /// All cases.
    pub total: usize,
}

impl Evaluation {
    /// The unknown labels with their files, one summary per label.
    pub fn unknown_label_summaries(&self) -> Vec<UnknownLabelSummary<'_>> {
        unknown_labels::summarize(&self.unknown_labels)
    }

    /// Names of the classes.
    pub fn class_names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.files {
            Some(CaseFiles { prediction, reference, .. }) => {
                write!(f, "{} against {}: {}", prediction.display(), reference.display(), self.error)
            }
            None => self.error.fmt(f),
        }
    }
}

impl Pairing {
    /// Scores the cases. `progress` is called before each case and can stop the evaluation. Without names of classes, all
    /// files are read for their labels first; meanwhile `done` is 0.
    ///
    /// # Errors
    ///
    /// If `progress` stops the evaluation. Failures of cases are in the result.
    pub fn evaluate(
        self,
        config: &EvaluationConfig,
        progress: &mut dyn FnMut(EvaluationProgress<'_>) -> ControlFlow<()>,
    ) -> Result<Evaluation> {
        let Self { cases, mut failures, unreferenced } = self;
        let classes = match &config.schema {
            Some(schema) => schema.classes().to_vec(),
            None => match labels::named_classes(&cases) {
                Some(classes) => classes,
                None => occurring_labels(&cases, progress)?,
            },
        };
        let (mut scores, mut unknown_labels) = (Vec::with_capacity(cases.len()), Vec::new());
        for (done, files) in cases.iter().enumerate() {
            if progress(EvaluationProgress { case: &files.case, done, total: cases.len() }).is_break() {
                return Err(Error::Canceled);
            }
            match evaluate_case(files, &classes, config, &mut unknown_labels) {
                Ok(case) => scores.push(case),
                Err(error) => {
                    let is_mismatch = matches!(error, Error::Metrics(_));
                    let compared = is_mismatch.then(|| files.clone());
                    failures.push(CaseFailure { case: files.case.clone(), error, files: compared });
                }
            }
        }
        failures.sort_by(|a, b| a.case.cmp(&b.case));
        let scores = Scores::new(&config.metrics(), scores);
        Ok(Evaluation { classes, scores, failures, unknown_labels, unreferenced })
    }
}

/// Scores the predictions of a folder against the references of another, paired by name.
///
/// # Errors
///
/// If a folder cannot be read or has no label map, or if `progress` stops the evaluation. Failures of cases are in the
/// result.
pub fn evaluate_folders(
    predictions: &Path,
    references: &Path,
    config: &EvaluationConfig,
    progress: &mut dyn FnMut(EvaluationProgress<'_>) -> ControlFlow<()>,
) -> Result<Evaluation> {
    Pairing::of_folders(predictions, references)?.evaluate(config, progress)
}

fn evaluate_case(
    files: &CaseFiles,
    classes: &[LabelClass],
    config: &EvaluationConfig,
    unknown_labels: &mut Vec<UnknownLabel>,
) -> Result<CaseScores> {
    let (prediction, mut reference) = labels::read_pair(files, classes)?;
    if let Some(schema) = &config.schema {
        apply_remap(schema.remap(), &mut reference);
    }
    let metrics = config.metrics();
    let scores = score_case(&files.case, &prediction, &reference, classes, &metrics)?;
    for (path, label_map) in [(&files.prediction, &prediction), (&files.reference, &reference)] {
        let unknown = labels_without_class(label_map, classes, metrics.ignore_label);
        let unknown = unknown.into_iter();
        unknown_labels.extend(unknown.map(|(label, voxels)| UnknownLabel {
            path: path.clone(),
            label,
            voxels,
        }));
    }
    Ok(scores)
}

/// A class for each label of the readable files, except background.
fn occurring_labels(
    cases: &[CaseFiles],
    progress: &mut dyn FnMut(EvaluationProgress<'_>) -> ControlFlow<()>,
) -> Result<Vec<LabelClass>> {
    let mut occurs = vec![false; usize::from(u16::MAX) + 1];
    for files in cases {
        if progress(EvaluationProgress { case: &files.case, done: 0, total: cases.len() }).is_break() {
            return Err(Error::Canceled);
        }
        for path in [&files.prediction, &files.reference] {
            // A damaged file is reported when its case is scored.
            for label_map in labels::read(path, &[]).iter().flatten() {
                label_map.voxels().iter().for_each(|label| occurs[usize::from(*label)] = true);
            }
        }
    }
    let labels = (1..=u16::MAX).filter(|label| occurs[usize::from(*label)]);
    Ok(labels.map(|label| LabelClass::new(label.to_string(), vec![label])).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bipvl_imaging::{Grid, LabelRemap, Volume, read_labels, write};
    use ndarray::Array3;
    use tempfile::TempDir;

    use super::*;

    const GO_ON: fn(EvaluationProgress<'_>) -> ControlFlow<()> = |_| ControlFlow::Continue(());

    /// A folder with `pred` and `ref`.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["pred", "ref"] {
                fs::create_dir(folder.path().join(name)).unwrap();
            }
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a row of voxels.
        fn write(&self, name: &str, labels: &[u16]) {
            let shape = [labels.len(), 1, 1];
            let voxels = Array3::from_shape_vec(shape, labels.to_vec()).unwrap();
            let volume = Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]));
            write(&self.path(name), &volume).unwrap();
        }

        fn evaluate(&self, config: &EvaluationConfig) -> Evaluation {
            evaluate_folders(&self.path("pred"), &self.path("ref"), config, &mut { GO_ON }).unwrap()
        }
    }

    fn liver() -> LabelSchema {
        LabelSchema::exclusive([("liver", 1)]).unwrap()
    }

    #[test]
    fn cases_are_paired_by_name_and_scored() {
        let folder = Folder::new();
        folder.write("pred/a.nii.gz", &[1, 1, 0, 0]);
        folder.write("ref/a.nii", &[1, 0, 0, 0]);
        folder.write("pred/b.nii", &[2, 0]);
        folder.write("ref/b.NII.GZ", &[2, 0]);
        folder.write("pred/c.nii", &[1, 0]);
        fs::write(folder.path("ref/._a.nii"), "resource fork").unwrap();
        let evaluation = folder.evaluate(&EvaluationConfig::default());
        assert!(evaluation.failures.is_empty(), "{:?}", evaluation.failures);
        assert_eq!(evaluation.unreferenced, [folder.path("pred/c.nii")]);
        let names: Vec<&str> = evaluation.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["1", "2"]);
        let dice = |case: usize, class: &str| evaluation.scores.cases[case].classes[class].dice;
        assert_eq!((dice(0, "1"), dice(1, "2")), (Some(2.0 / 3.0), Some(1.0)));
    }

    #[test]
    fn failed_cases_are_listed_and_the_others_scored() {
        let folder = Folder::new();
        for case in ["a", "b", "c", "d", "e"] {
            folder.write(&format!("ref/{case}.nii.gz"), &[1, 1, 0, 0]);
        }
        folder.write("pred/a.nii.gz", &[1, 1, 0, 0]);
        fs::write(folder.path("pred/b.nii.gz"), "not a label map").unwrap();
        folder.write("pred/c.nii.gz", &[1, 1, 0]);
        folder.write("pred/d.nii.gz", &[1]);
        folder.write("pred/d.nii", &[1]);
        let evaluation = folder.evaluate(&EvaluationConfig::for_schema(&liver()));
        assert_eq!(evaluation.scores.mean_dice(), Some(1.0));
        assert_eq!(evaluation.scores.cases.len(), 1);
        let failures: Vec<String> = evaluation.failures.iter().map(ToString::to_string).collect();
        let [b, c, d, e] = &failures[..] else { panic!("{failures:?}") };
        assert!(b.contains("pred/b.nii.gz"), "{b}");
        assert!(
            c.contains("pred/c.nii.gz against ") && c.contains("not on the grid of its reference"),
            "{c}"
        );
        assert!(matches!(evaluation.failures[2].error, Error::DuplicateCase { .. }), "{d}");
        assert!(matches!(evaluation.failures[3].error, Error::MissingPrediction { .. }), "{e}");
        assert!(e.starts_with("case e: no prediction in "), "{e}");
    }

    #[test]
    fn labels_without_class_are_reported_with_file_and_voxels() {
        let folder = Folder::new();
        folder.write("pred/a.nii", &[1, 7, 7, 0]);
        folder.write("ref/a.nii", &[1, 0, 9, 0]);
        let config = EvaluationConfig::for_schema(&liver().with_ignore(Some(9)).unwrap());
        let evaluation = folder.evaluate(&config);
        assert_eq!(
            evaluation.unknown_labels,
            [UnknownLabel { path: folder.path("pred/a.nii"), label: 7, voxels: 2 }]
        );
        assert_eq!(evaluation.scores.mean_dice(), Some(1.0));
    }

    /// D19, E flip: the same voxels, stored from left to right and from right to left.
    #[test]
    fn predictions_in_another_axis_order_are_reoriented() {
        let folder = Folder::new();
        folder.write("ref/a.nii", &[1, 1, 0, 2]);
        let reference = read_labels(&folder.path("ref/a.nii")).unwrap();
        for orientation in ["LAS", "SRP", "IPL"] {
            let turned = bipvl_imaging::reorient(&reference, orientation.parse().unwrap());
            write(&folder.path("pred/a.nii"), &turned).unwrap();
            assert_eq!(folder.evaluate(&EvaluationConfig::default()).scores.mean_dice(), Some(1.0));
        }
    }

    #[test]
    fn labels_of_references_are_remapped() {
        let folder = Folder::new();
        folder.write("pred/a.nii", &[1, 1]);
        folder.write("ref/a.nii", &[5, 1]);
        let schema = liver().with_remap(vec![LabelRemap { from: 5, to: 1 }]).unwrap();
        let config = EvaluationConfig::for_schema(&schema);
        assert_eq!(folder.evaluate(&config).scores.mean_dice(), Some(1.0));
    }

    #[test]
    fn a_folder_without_label_maps_lists_what_it_contains() {
        let folder = Folder::new();
        folder.write("ref/a.nii", &[1]);
        fs::write(folder.path("pred/a.txt"), "").unwrap();
        let error = Pairing::of_folders(&folder.path("pred"), &folder.path("ref")).unwrap_err();
        assert!(
            error.to_string().ends_with("pred: no label maps in this folder; it contains a.txt"),
            "{error}"
        );
        let error = Pairing::of_folders(&folder.path("nowhere"), &folder.path("ref")).unwrap_err();
        assert!(matches!(error, Error::File(_)), "{error}");
    }

    #[test]
    fn the_progress_callback_can_stop() {
        let folder = Folder::new();
        for name in ["pred/a.nii", "ref/a.nii", "pred/b.nii", "ref/b.nii"] {
            folder.write(name, &[1]);
        }
        let config = EvaluationConfig::for_schema(&liver());
        let mut seen = Vec::new();
        let result = evaluate_folders(&folder.path("pred"), &folder.path("ref"), &config, &mut |progress| {
            seen.push((progress.case.to_owned(), progress.done, progress.total));
            if progress.done == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(result, Err(Error::Canceled)));
        assert_eq!(seen, [("a".to_owned(), 0, 2), ("b".to_owned(), 1, 2)]);
    }
}
