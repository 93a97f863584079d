//! The scans that the arguments of `bipvl predict` name.

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use anyhow::{Result, bail};
use bipvl::data::{group_by_case, list_images};
use bipvl_dicom::is_dicom_file;
use bipvl_imaging::formats::{ENDINGS, strip_ending};

/// One scan to segment.
#[derive(Debug)]
pub(crate) struct Scan {
    /// File name without ending and channel number, or the name of a DICOM study.
    pub(crate) id: String,
    /// Where its voxels are.
    pub(crate) source: ScanSource,
}

/// Where the voxels of a scan are.
#[derive(Debug)]
pub(crate) enum ScanSource {
    /// One file with all channels, or one file per channel.
    Images(Vec<PathBuf>),
    /// A folder, file, DICOMDIR or archive; what it holds is read when it is segmented.
    Dicom(PathBuf),
}

impl Scan {
    /// Its files; for a DICOM study the path that was given.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        match &self.source {
            ScanSource::Images(images) => images,
            ScanSource::Dicom(path) => std::slice::from_ref(path),
        }
    }

    /// Whether DICOM objects can be made of its results.
    pub(super) fn is_dicom(&self) -> bool {
        matches!(self.source, ScanSource::Dicom(_))
    }
}

/// Finds the scans in files and folders; warns of files that are skipped, or look like channels but are not.
/// `wants_dicom` takes folders for studies, whatever else they hold.
pub(crate) fn find(inputs: &[PathBuf], num_channels: usize, wants_dicom: bool) -> Result<Vec<Scan>> {
    let (mut images, mut studies) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            let listing = list_images(input)?;
            if wants_dicom || listing.images.is_empty() {
                studies.push(input.clone());
            } else {
                warn_of_skipped(input, &listing.skipped);
                images.extend(listing.images);
            }
        } else if !input.exists() {
            bail!("{}: no such file or folder", input.display());
        } else if strip_ending(input).is_some() {
            images.push(input.clone());
        } else if is_dicom_file(input)? {
            studies.push(input.clone());
        } else {
            bail!("{}: not an image; known endings are {}, or DICOM", input.display(), known_endings());
        }
    }
    images.sort();
    images.dedup();
    let grouped = group_by_case(&images, num_channels)?;
    for names in &grouped.ambiguous {
        tracing::warn!(
            "{} are segmented as {} scans, because the model has 1 channel",
            names.join(", "),
            names.len()
        );
    }
    let mut scans: Vec<Scan> = grouped
        .cases
        .into_iter()
        .map(|(id, images)| Scan { id, source: ScanSource::Images(images) })
        .collect();
    if !studies.is_empty() && num_channels > 1 {
        let study = studies[0].display();
        bail!(
            "{study}: a DICOM series has one channel, the model reads {num_channels}; convert the series to files"
        );
    }
    scans.extend(named(studies).into_iter().map(|(id, path)| Scan { id, source: ScanSource::Dicom(path) }));
    Ok(scans)
}

/// Each study by the name of its folder or file, with as many folders above it as tell all apart.
fn named(mut studies: Vec<PathBuf>) -> Vec<(String, PathBuf)> {
    studies.sort();
    studies.dedup();
    let parts = |path: &PathBuf| -> Vec<String> {
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        let names = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        names.collect()
    };
    let name = |path: &PathBuf, depth: usize| {
        let parts = parts(path);
        let name = parts[parts.len().saturating_sub(depth)..].join("_");
        let path = Path::new(&name);
        let is_known = |ending: &std::ffi::OsStr| {
            ending.eq_ignore_ascii_case("zip") || ending.eq_ignore_ascii_case("dcm")
        };
        match (path.extension().is_some_and(is_known), path.file_stem()) {
            (true, Some(stem)) => stem.to_string_lossy().into_owned(),
            _ => name,
        }
    };
    let most = studies.iter().map(|path| parts(path).len()).max().unwrap_or(1);
    let are_different = |depth: &usize| {
        let names: HashSet<String> = studies.iter().map(|path| name(path, *depth)).collect();
        names.len() == studies.len()
    };
    let depth = (1..=most).find(are_different).unwrap_or(most);
    studies.iter().map(|path| (name(path, depth), path.clone())).collect()
}

fn known_endings() -> String {
    ENDINGS.iter().map(|(ending, _)| *ending).collect::<Vec<_>>().join(", ")
}

fn warn_of_skipped(folder: &Path, skipped: &[PathBuf]) {
    if !skipped.is_empty() {
        let names: Vec<String> = skipped.iter().map(|path| display_name(path)).collect();
        tracing::warn!("{}: skipped, not an image of a known format: {}", folder.display(), names.join(", "));
    }
}

fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    if path.is_dir() { format!("{name}/") } else { name.into_owned() }
}
