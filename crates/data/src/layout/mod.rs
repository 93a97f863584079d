//! The arrangements of files in which public data sets are downloaded; one file per layout.

mod acdc;
mod amos22;
mod dataset_json;
mod decathlon;
mod mmwhs;
mod nnunet;

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::{Path, PathBuf},
};

use bipvl_imaging::{
    LabelSchema,
    formats::{ENDINGS, strip_ending},
};
use serde::Serialize;

use super::{Case, Modality};
use crate::{Error, Result};
pub(super) use dataset_json::DatasetJson;

/// The ending of a file that does not exist, for messages.
const USUAL_ENDING: &str = ".nii.gz";

/// The arrangement of the files of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Medical Segmentation Decathlon: a `dataset.json` that lists pairs of files.
    Decathlon,
    /// nnU-Net version 2: a `dataset.json` with `channel_names` and `file_ending`, one file per channel.
    Nnunet,
    /// AMOS22: as the Decathlon, with CT and MR in one folder and a labeled list of validation cases, used as test.
    Amos22,
    /// MM-WHS: the folders `ct_train` and `mr_train` of `*_image` and `*_label` files.
    Mmwhs,
    /// ACDC: a folder per patient, with `Info.cfg` and two labeled frames.
    Acdc,
}

/// What a layout lists, before a configuration overrides it; files need not exist.
pub(super) struct DatasetIndex {
    pub(super) name: Option<String>,
    pub(super) modality: Modality,
    pub(super) channels: Vec<String>,
    pub(super) label_schema: LabelSchema,
    pub(super) cases: Vec<Case>,
    pub(super) test: Vec<Case>,
    /// Images without labels.
    pub(super) unlabeled: Vec<PathBuf>,
    /// Files that belong to no case.
    pub(super) skipped: Vec<PathBuf>,
}

impl Layout {
    /// The layout of a folder.
    ///
    /// # Errors
    ///
    /// When it is none of the known ones.
    pub fn detect(root: &Path) -> Result<Self> {
        let path = root.to_owned();
        if !root.exists() {
            return Err(Error::NoFolder { path });
        }
        if !root.is_dir() {
            return Err(Error::NotAFolder { path });
        }
        let json = root.join("dataset.json");
        if json.is_file() {
            let manifest = DatasetJson::read(&json)?;
            return Ok(if manifest.has("channel_names") {
                Self::Nnunet
            } else if amos22::is_described_by(&manifest) {
                Self::Amos22
            } else {
                Self::Decathlon
            });
        }
        if mmwhs::FOLDERS.iter().any(|(folder, _)| root.join(folder).is_dir()) {
            return Ok(Self::Mmwhs);
        }
        if root.join(acdc::TRAINING).is_dir() {
            return Ok(Self::Acdc);
        }
        Err(Error::UnknownLayout { path })
    }

    /// The file that describes the data set, or the folder where there is none.
    pub fn manifest_path(self, root: &Path) -> PathBuf {
        match self {
            Self::Decathlon | Self::Nnunet | Self::Amos22 => root.join("dataset.json"),
            Self::Mmwhs | Self::Acdc => root.to_owned(),
        }
    }

    /// Lists the cases; of a folder with both modalities those of `modality`.
    pub(super) fn list(self, root: &Path, modality: Option<Modality>) -> Result<DatasetIndex> {
        match self {
            Self::Decathlon => decathlon::list(root),
            Self::Nnunet => nnunet::list(root),
            Self::Amos22 => amos22::list(root, modality),
            Self::Mmwhs => mmwhs::list(root, modality),
            Self::Acdc => acdc::list(root),
        }
    }
}

impl Display for Layout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decathlon => "Decathlon",
            Self::Nnunet => "nnU-Net",
            Self::Amos22 => "AMOS22",
            Self::Mmwhs => "MM-WHS",
            Self::Acdc => "ACDC",
        })
    }
}

/// The requested modality, else the only one of the folder.
fn choose(root: &Path, requested: Option<Modality>, available: &[Modality]) -> Result<Modality> {
    match (requested, available) {
        (Some(modality), _) | (None, &[modality]) => Ok(modality),
        _ => Err(Error::ModalityRequired { path: root.to_owned(), available: available.to_vec() }),
    }
}

/// The names of the folders in a folder, sorted; hidden ones are left out.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let io = |source| Error::io(folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// The image `stem` with the first ending of an image format that exists, else with the usual one.
fn image_file(folder: &Path, stem: &str) -> PathBuf {
    let candidates = || ENDINGS.iter().map(|(ending, _)| folder.join(format!("{stem}{ending}")));
    let in_any_case = || {
        let files = super::case_files::files_in(folder).unwrap_or_default();
        files.into_iter().find(|file| strip_ending(file).is_some_and(|(found, _)| found == stem))
    };
    let found = candidates().find(|file| file.is_file()).or_else(in_any_case);
    found.unwrap_or_else(|| folder.join(format!("{stem}{USUAL_ENDING}")))
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
