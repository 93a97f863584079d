//! Label maps of any format: image files, DICOM segmentations, structure sets.

use std::path::Path;

use bipvl_dicom::{Study, placed_labels};
use bipvl_imaging::{
    Grid, LabelClass, LabelMap, MAX_VOXELS, Segment, Segmentation, formats::strip_ending, read_labels,
    reoriented_like,
};
use bipvl_text::ClassName;

use super::CaseFiles;
use crate::{Error, Result};

/// The ending of DICOM objects, and those before it that `bipvl predict` writes.
const DICOM_ENDING: &str = ".dcm";
const KINDS: [&str; 3] = [".seg", ".labelmap", ".rtstruct"];

/// The name of a file with labels, without its ending; `None` for other files.
pub(super) fn case_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    if let Some(stem) = name.strip_suffix(DICOM_ENDING) {
        let kind = KINDS.iter().find_map(|kind| stem.strip_suffix(kind));
        return Some(kind.unwrap_or(stem).to_owned());
    }
    strip_ending(path).map(|(name, _)| name)
}

fn is_dicom(path: &Path) -> bool {
    path.to_string_lossy().ends_with(DICOM_ENDING)
}

/// Prediction and reference on one grid: a DICOM segmentation, which has only the slices where it is not empty, is put
/// on the grid of the other, and a structure set, which has no grid, is drawn on it.
pub(super) fn read_pair(files: &CaseFiles, classes: &[LabelClass]) -> Result<(LabelMap, LabelMap)> {
    let [prediction, reference] =
        [&files.prediction, &files.reference].map(|path| Labels::open(path, classes));
    let (prediction, reference) = match (prediction?, reference?) {
        (Labels::Map(prediction), Labels::Map(reference)) => (prediction, reference),
        (Labels::Structures(structures), Labels::Map(reference)) => {
            (structures.draw(reference.grid(), classes)?, reference)
        }
        (Labels::Map(prediction), Labels::Structures(structures)) => {
            let reference = structures.draw(prediction.grid(), classes)?;
            (prediction, reference)
        }
        (Labels::Structures(structures), Labels::Structures(_)) => {
            return Err(Error::StructuresWithoutGrid { path: structures.path.to_owned() });
        }
    };
    on_one_grid(files, prediction, reference)
}

fn on_one_grid(files: &CaseFiles, prediction: LabelMap, reference: LabelMap) -> Result<(LabelMap, LabelMap)> {
    let grid = match (is_dicom(&files.prediction), is_dicom(&files.reference)) {
        (_, true) => prediction.grid().union_along_slices(reference.grid()),
        (true, false) => reference.grid().union_along_slices(prediction.grid()),
        (false, false) => {
            let grid = reference.grid().clone();
            return Ok((reoriented_like(prediction, &grid), reference));
        }
    };
    if grid.num_voxels().is_none_or(|count| count > MAX_VOXELS) {
        return Err(Error::SegmentationsFarApart {
            prediction: files.prediction.clone(),
            reference: files.reference.clone(),
        });
    }
    Ok((placed_labels(&prediction, &grid), placed_labels(&reference, &grid)))
}

/// The labels of a file that has a grid of its own; `None` for a structure set.
pub(super) fn read(path: &Path, classes: &[LabelClass]) -> Result<Option<LabelMap>> {
    Ok(match Labels::open(path, classes)? {
        Labels::Map(labels) => Some(labels),
        Labels::Structures(_) => None,
    })
}

/// The names of all segments, in the order of the files, as classes; `None` unless all files are DICOM.
pub(super) fn named_classes(cases: &[CaseFiles]) -> Option<Vec<LabelClass>> {
    let mut names: Vec<String> = Vec::new();
    for path in cases.iter().flat_map(|files| [&files.prediction, &files.reference]) {
        if !is_dicom(path) {
            return None;
        }
        // A damaged file is reported when its case is scored.
        for name in Study::open(path).and_then(|study| study.segment_names()).unwrap_or_default() {
            if !names.iter().any(|other| ClassName::collides(other, &name)) {
                names.push(name);
            }
        }
    }
    let classes = names.into_iter().zip(1..).map(|(name, label)| LabelClass::new(name, vec![label]));
    Some(classes.collect())
}

/// What a file holds.
enum Labels<'a> {
    Map(LabelMap),
    Structures(Structures<'a>),
}

/// A structure set without its series.
struct Structures<'a> {
    path: &'a Path,
    study: Study,
}

impl<'a> Labels<'a> {
    fn open(path: &'a Path, classes: &[LabelClass]) -> Result<Self> {
        if !is_dicom(path) {
            return Ok(Self::Map(read_labels(path)?));
        }
        let study = Study::open(path)?;
        if study.is_lone_structure_set() {
            return Ok(Self::Structures(Structures { path, study }));
        }
        Ok(Self::Map(with_labels_of_classes(path, study.read_segmentation()?, classes)))
    }
}

impl Structures<'_> {
    fn draw(&self, grid: &Grid, classes: &[LabelClass]) -> Result<LabelMap> {
        for open in self.study.open_structures()?.iter().filter(|open| open.num_open > 0) {
            tracing::warn!("{}: `{}`: {open}", self.path.display(), open.name);
        }
        Ok(with_labels_of_classes(self.path, self.study.read_structures_on(grid)?, classes))
    }
}

/// Segments get the labels of the classes of the same name. Where a file names no class at all, segment numbers are
/// labels; else segments of other names are left out.
fn with_labels_of_classes(path: &Path, segmentation: Segmentation, classes: &[LabelClass]) -> LabelMap {
    let label_of = |segment: &Segment| {
        let class = classes.iter().find(|class| ClassName::collides(&class.name, &segment.name));
        class.and_then(|class| class.labels.first()).copied()
    };
    let mut others: Vec<&str> = Vec::new();
    let mut new_label: Vec<u16> = (0..=u16::MAX).collect();
    for segment in segmentation.segments() {
        let label = label_of(segment);
        new_label[usize::from(segment.label)] = label.unwrap_or_default();
        if label.is_none() {
            others.push(&segment.name);
        }
    }
    let names = others.join(", ");
    if others.len() == segmentation.segments().len() {
        new_label = (0..=u16::MAX).collect();
        if !classes.is_empty() && !others.is_empty() {
            tracing::warn!("{}: no class is named {names}; segment numbers are labels", path.display());
        }
    } else if !others.is_empty() {
        tracing::warn!("{}: no class is named {names}; not scored", path.display());
    }
    segmentation.into_label_map().map(|label| new_label[usize::from(*label)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_endings() {
        let name = |path: &str| case_name(Path::new(path));
        assert_eq!(name("a/case.nii.gz").as_deref(), Some("case"));
        assert_eq!(name("case.seg.dcm").as_deref(), Some("case"));
        assert_eq!(name("case.1.dcm").as_deref(), Some("case.1"));
        assert_eq!(name("notes.txt"), None);
    }
}
