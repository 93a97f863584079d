//! Labels that a person has saved or corrected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_imaging::{Grid, LabelMap};
use bipvl_io::{FileError, FileTransaction, atomic_write};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LABELS, Library, Scan, scan::safe_name};
use crate::Result;

/// What a value of a label map means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LabelSegment {
    pub(crate) name: String,
    pub(crate) value: u16,
}

/// A label map that was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedLabels {
    pub(crate) path: PathBuf,
    pub(crate) segments: Vec<LabelSegment>,
}

/// Tags are folder names: letters, digits, `-` and `_`.
fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && safe_name(tag) == tag && !tag.contains('.')
}

impl Library {
    fn label_path(&self, tag: &str, scan: &str) -> PathBuf {
        self.root.join(LABELS).join(tag).join(format!("{scan}.nii.gz"))
    }

    /// The tags that a scan has labels for.
    pub(super) fn label_tags(&self, scan: &str) -> Vec<String> {
        let folders = fs::read_dir(self.root.join(LABELS)).into_iter().flatten().flatten();
        let tags = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
        let mut tags: Vec<String> = tags.filter(|tag| self.label_path(tag, scan).exists()).collect();
        tags.sort();
        tags
    }

    /// The labels of a scan under a tag.
    pub(crate) fn labels(&self, scan: &Scan, tag: &str) -> Option<SavedLabels> {
        let path = self.label_path(tag, &scan.id);
        if !is_tag(tag) || !path.exists() {
            return None;
        }
        let segments = fs::read(names_path(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Some(SavedLabels { path, segments: segments.unwrap_or_default() })
    }

    /// Saves labels on the grid of their scan.
    ///
    /// # Errors
    ///
    /// The reason, if the tag or the labels cannot be.
    pub(crate) fn save_labels(
        &self,
        scan: &Scan,
        tag: &str,
        labels: &LabelMap,
        segments: &[LabelSegment],
    ) -> std::result::Result<(), String> {
        if !is_tag(tag) {
            return Err(format!("tag `{tag}`: letters, digits, - and _ are allowed"));
        }
        let grid = scan.grid().map_err(|error| error.to_string())?;
        labels
            .grid()
            .ensure_matches(&grid)
            .map_err(|error| format!("the labels are not on the grid of the scan: {error}"))?;
        let unnamed = labels.voxels().iter().find(|value| {
            **value != 0 && !segments.is_empty() && segments.iter().all(|segment| segment.value != **value)
        });
        if let Some(value) = unnamed {
            return Err(format!("the labels have the value {value}, which no segment names"));
        }
        write_labels(&self.label_path(tag, &scan.id), labels, segments).map_err(|error| error.to_string())
    }

    /// Deletes labels; `false` if there are none.
    pub(crate) fn delete_label(&self, scan: &Scan, tag: &str) -> bool {
        let path = self.label_path(tag, &scan.id);
        let _ = fs::remove_file(names_path(&path));
        is_tag(tag) && fs::remove_file(path).is_ok()
    }

    pub(super) fn delete_labels(&self, scan: &str) {
        for tag in self.label_tags(scan) {
            let path = self.label_path(&tag, scan);
            let _ = fs::remove_file(names_path(&path));
            let _ = fs::remove_file(path);
        }
    }
}

impl Scan {
    /// Its grid, from its header.
    pub(crate) fn grid(&self) -> Result<Grid> {
        match &self.file {
            super::ScanFile::Image(path) => Ok(bipvl_imaging::probe(path)?.grid),
            super::ScanFile::Series(path, index) => {
                let study = bipvl_dicom::Study::open(path)?;
                let volume = study.volumes().get(*index).and_then(bipvl_dicom::SeriesVolume::grid);
                volume.ok_or_else(|| crate::Error::Gone(format!("scan {}: its files changed", self.id)))
            }
        }
    }
}

fn write_labels(path: &Path, labels: &LabelMap, segments: &[LabelSegment]) -> Result<()> {
    let folder = path.parent().expect("labels are in a folder");
    fs::create_dir_all(folder).map_err(|reason| FileError::new(folder, reason))?;
    let mut files = FileTransaction::default();
    bipvl_imaging::formats::stage(&mut files, path, labels, &bipvl_imaging::WriteOptions::default())?;
    files.commit()?;
    let names = serde_json::to_vec_pretty(segments).expect("names and values become JSON");
    Ok(atomic_write(&names_path(path), &names)?)
}

fn names_path(labels: &Path) -> PathBuf {
    let name = labels.file_name().unwrap_or_default().to_string_lossy();
    labels.with_file_name(format!("{}.json", name.trim_end_matches(".nii.gz")))
}
