//! Label maps of any format: image files, DICOM segmentations, structure sets with their series.

use std::path::Path;

use bipvl_dicom::{Study, placed_labels};
use bipvl_imaging::{LabelClass, LabelMap, formats::strip_ending, read_labels, reoriented_like};
use bipvl_text::ClassName;

use super::CaseFiles;
use crate::Result;

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
/// on the grid of the other.
pub(super) fn read_pair(files: &CaseFiles, classes: &[LabelClass]) -> Result<(LabelMap, LabelMap)> {
    let mut prediction = read(&files.prediction, classes)?;
    let mut reference = read(&files.reference, classes)?;
    match (is_dicom(&files.prediction), is_dicom(&files.reference)) {
        (true, true) => {
            let grid = prediction.grid().union_along_slices(reference.grid());
            prediction = placed_labels(&prediction, &grid);
            reference = placed_labels(&reference, &grid);
        }
        (true, false) => prediction = placed_labels(&prediction, reference.grid()),
        (false, true) => reference = placed_labels(&reference, prediction.grid()),
        (false, false) => {}
    }
    let grid = reference.grid().clone();
    Ok((reoriented_like(prediction, &grid), reference))
}

/// The labels of a file; those of DICOM segments are the labels of the classes of the same name, else segment numbers.
pub(super) fn read(path: &Path, classes: &[LabelClass]) -> Result<LabelMap> {
    if !is_dicom(path) {
        return Ok(read_labels(path)?);
    }
    let segmentation = Study::open(path)?.read_segmentation()?;
    let mut new_label: Vec<u16> = (0..=u16::MAX).collect();
    for segment in segmentation.segments() {
        let class = classes.iter().find(|class| ClassName::collides(&class.name, &segment.name));
        if let Some(label) = class.and_then(|class| class.labels.first()) {
            new_label[usize::from(segment.label)] = *label;
        }
    }
    Ok(segmentation.into_label_map().map(|label| new_label[usize::from(*label)]))
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
