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

/// The name of a folder of labels: letters, digits, `-` and `_`, so that it leads nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag(String);

impl Tag {
    fn parse(tag: &str) -> Option<Self> {
        let is_tag = !tag.is_empty() && safe_name(tag) == tag && !tag.contains('.');
        is_tag.then(|| Self(tag.to_owned()))
    }
}

impl Library {
    fn label_path(&self, tag: &Tag, scan: &str) -> PathBuf {
        self.root.join(LABELS).join(&tag.0).join(format!("{scan}.nii.gz"))
    }

    /// The tags that a scan has labels for.
    pub(super) fn label_tags(&self, scan: &str) -> Vec<String> {
        let folders = fs::read_dir(self.root.join(LABELS)).into_iter().flatten().flatten();
        let tags = folders.filter_map(|folder| Tag::parse(&folder.file_name().to_string_lossy()));
        let of_scan = tags.filter(|tag| self.label_path(tag, scan).exists());
        let mut tags: Vec<String> = of_scan.map(|tag| tag.0).collect();
        tags.sort();
        tags
    }

    /// The labels of a scan under a tag.
    pub(crate) fn labels(&self, scan: &Scan, tag: &str) -> Option<SavedLabels> {
        let path = self.label_path(&Tag::parse(tag)?, &scan.id);
        if !path.exists() {
            return None;
        }
        let segments = fs::read(names_path(&path)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Some(SavedLabels { path, segments: segments.unwrap_or_default() })
    }

    /// Saves labels on the grid of their scan.
    ///
    /// # Errors
    ///
    /// The reason, if the tag or the values cannot be.
    pub(crate) fn save_labels(
        &self,
        scan: &Scan,
        tag: &str,
        labels: &LabelMap,
        segments: &[LabelSegment],
    ) -> std::result::Result<(), String> {
        let tag =
            Tag::parse(tag).ok_or_else(|| format!("tag `{tag}`: letters, digits, - and _ are allowed"))?;
        let unnamed = labels.voxels().iter().find(|value| {
            **value != 0 && !segments.is_empty() && segments.iter().all(|segment| segment.value != **value)
        });
        if let Some(value) = unnamed {
            return Err(format!("the labels have the value {value}, which no segment names"));
        }
        write_labels(&self.label_path(&tag, &scan.id), labels, segments).map_err(|error| error.to_string())
    }

    /// Deletes labels; `false` if there are none.
    pub(crate) fn delete_label(&self, scan: &Scan, tag: &str) -> bool {
        let Some(tag) = Tag::parse(tag) else { return false };
        let path = self.label_path(&tag, &scan.id);
        let _ = fs::remove_file(names_path(&path));
        fs::remove_file(path).is_ok()
    }

    pub(super) fn delete_labels(&self, scan: &str) {
        for tag in self.label_tags(scan).iter().filter_map(|tag| Tag::parse(tag)) {
            let path = self.label_path(&tag, scan);
            let _ = fs::remove_file(names_path(&path));
            let _ = fs::remove_file(path);
        }
    }
}

impl Scan {
    /// Reads a label map on the grid of the scan; the header is compared before any voxel is unpacked.
    ///
    /// # Errors
    ///
    /// The reason, if it is none.
    pub(crate) fn read_labels(&self, file: &Path) -> std::result::Result<LabelMap, String> {
        let grid = self.grid().map_err(|error| error.to_string())?;
        let header = bipvl_imaging::probe(file).map_err(|error| error.to_string())?;
        header
            .grid
            .ensure_matches(&grid)
            .map_err(|error| format!("the labels are not on the grid of the scan: {error}"))?;
        bipvl_imaging::read_labels(file).map_err(|error| error.to_string())
    }

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
