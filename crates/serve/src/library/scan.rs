//! One scan: what it is, and its voxels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_dicom::{Study, is_dicom_file};
use bipvl_imaging::{Header, Volume, formats::strip_ending, probe, read};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, Result, queue::rfc_3339};

/// A scan as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Scan {
    /// The name of its file without ending, or its `SeriesInstanceUID`.
    pub(crate) id: String,
    /// Whether it is a DICOM series, so that results can be DICOM objects.
    pub(crate) dicom: bool,
    /// As in DICOM, such as `CT`; null if the file does not say.
    pub(crate) modality: Option<String>,
    /// `SeriesDescription`.
    pub(crate) description: Option<String>,
    /// Voxels along x, y, z of the file.
    pub(crate) shape: [usize; 3],
    /// Voxel size in mm.
    pub(crate) spacing: [f64; 3],
    /// Size of the file or folder.
    pub(crate) bytes: u64,
    /// When it came, RFC 3339.
    pub(crate) created: String,
    /// Tags of saved labels, such as `final`.
    pub(crate) labels: Vec<String>,
    #[serde(skip)]
    pub(crate) series_uid: Option<String>,
    #[serde(skip)]
    pub(crate) file: ScanFile,
}

/// Where a scan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanFile {
    Image(PathBuf),
    /// A volume of a study, by its index.
    Series(PathBuf, usize),
}

impl ScanFile {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Image(path) | Self::Series(path, _) => path,
        }
    }
}

/// The voxels of a scan, and what its results are made of.
pub(crate) struct LoadedScan {
    pub(crate) channels: Vec<Volume<f32>>,
    /// Of an image file.
    pub(crate) header: Option<Header>,
    /// Of a DICOM scan, with the index of its volume.
    pub(crate) study: Option<(Study, usize)>,
}

impl Scan {
    /// Reads the voxels.
    pub(crate) fn load(&self) -> Result<LoadedScan> {
        match &self.file {
            ScanFile::Image(path) => {
                let image = read(path)?;
                Ok(LoadedScan { channels: image.channels, header: Some(image.header), study: None })
            }
            ScanFile::Series(path, index) => {
                let study = Study::open(path)?;
                let volume = study.volumes().get(*index);
                let volume =
                    volume.ok_or_else(|| Error::Gone(format!("scan {}: its files changed", self.id)))?;
                let channels = vec![volume.read()?];
                Ok(LoadedScan { channels, header: None, study: Some((study, *index)) })
            }
        }
    }
}

/// What a file or folder holds: one image, the volumes of a study, or nothing.
pub(super) fn describe(path: &Path, created: i64) -> Vec<Scan> {
    if let Some((name, _)) = strip_ending(path).filter(|_| path.is_file()) {
        return describe_image(path, &name, created).into_iter().collect();
    }
    let is_study = path.is_dir() || is_dicom_file(path).unwrap_or(false);
    if is_study { describe_study(path, created) } else { Vec::new() }
}

fn describe_image(path: &Path, name: &str, created: i64) -> Option<Scan> {
    let header = match probe(path) {
        Ok(header) => header,
        Err(error) => {
            tracing::debug!("left out: {error}");
            return None;
        }
    };
    Some(Scan {
        id: safe_name(name),
        dicom: false,
        modality: None,
        description: None,
        shape: header.grid.shape(),
        spacing: header.grid.spacing(),
        bytes: size(path),
        created: rfc_3339(created),
        labels: Vec::new(),
        series_uid: None,
        file: ScanFile::Image(path.to_owned()),
    })
}

fn describe_study(path: &Path, created: i64) -> Vec<Scan> {
    let Ok(study) = Study::open(path) else { return Vec::new() };
    let mut scans: Vec<Scan> = Vec::new();
    for (index, volume) in study.volumes().iter().enumerate() {
        let Some(grid) = volume.grid().filter(|_| !volume.is_localizer() && volume.ensure_readable().is_ok())
        else {
            continue;
        };
        let uid = safe_name(&volume.series_uid);
        let repeated =
            scans.iter().filter(|scan| scan.series_uid.as_deref() == Some(&volume.series_uid)).count();
        scans.push(Scan {
            id: if repeated == 0 { uid } else { format!("{uid}-{}", repeated + 1) },
            dicom: true,
            modality: Some(volume.modality.clone()),
            description: Some(volume.description.clone()),
            shape: grid.shape(),
            spacing: grid.spacing(),
            bytes: size(path),
            created: rfc_3339(created),
            labels: Vec::new(),
            series_uid: Some(volume.series_uid.clone()),
            file: ScanFile::Series(path.to_owned(), index),
        });
    }
    scans
}

/// A name that can be a file name and a part of a URL: what is neither a letter, a digit, `-`, `_` nor `.` becomes `_`.
pub(super) fn safe_name(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    // The end, because that tells files apart and holds the ending.
    let name = name[name.len().saturating_sub(MAX_NAME)..].trim_start_matches('.');
    if name.is_empty() { "scan".to_owned() } else { name.to_owned() }
}

/// Letters of a name; systems allow some 250.
const MAX_NAME: usize = 128;

/// Bytes of a file, or of all files below a folder.
fn size(path: &Path) -> u64 {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| size(&entry.path())).sum();
    }
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_a_folder() {
        assert_eq!(safe_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(safe_name("..."), "scan");
        assert_eq!(safe_name("1.2.840.10008"), "1.2.840.10008");
        assert_eq!(safe_name("größe a/b"), "gr__e_a_b");
    }
}
