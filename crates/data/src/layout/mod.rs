//! How the files of a data set are arranged where it is downloaded; one file per layout.

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

use serde::Serialize;

use super::{Case, Modality, Regions};
use crate::{Error, Result};
pub(super) use dataset_json::DatasetJson;

/// How the files of a data set are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Medical Segmentation Decathlon: a `dataset.json` that lists pairs of files.
    Decathlon,
    /// nnU-Net version 2: a `dataset.json` with `channel_names` and `file_ending`, one file per channel.
    Nnunet,
    /// AMOS22: as the Decathlon, CT and MR in one folder, and a labeled list for the test.
    Amos22,
    /// MM-WHS: the folders `ct_train` and `mr_train` of `*_image` and `*_label` files.
    Mmwhs,
    /// ACDC: a folder for each patient, with `Info.cfg` and two labeled frames.
    Acdc,
}

/// What a folder holds, before a configuration has its say; files are named, not looked for.
pub(super) struct DatasetIndex {
    pub(super) name: Option<String>,
    pub(super) modality: Modality,
    pub(super) channels: Vec<String>,
    pub(super) classes: Vec<String>,
    pub(super) labels: Vec<u16>,
    pub(super) regions: Regions,
    pub(super) cases: Vec<Case>,
    pub(super) test: Vec<Case>,
}

impl Layout {
    /// The layout of a folder, seen from what is in it.
    ///
    /// # Errors
    ///
    /// When no layout fits.
    pub fn detect(root: &Path) -> Result<Self> {
        let json = root.join("dataset.json");
        if json.is_file() {
            let about = DatasetJson::read(&json)?;
            return Ok(if about.has("channel_names") {
                Self::Nnunet
            } else if amos22::is_described_by(&about) {
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
        let expected = "the folder of a data set, with dataset.json in it (Decathlon, nnU-Net, AMOS22), \
                        or ct_train or mr_train (MM-WHS), or training (ACDC)";
        let found = if root.is_dir() { "a folder without them" } else { "no such folder" };
        Err(Error::content(root, expected, found))
    }

    /// The file that describes the data set, or the folder where there is none.
    pub fn index(self, root: &Path) -> PathBuf {
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

/// The modality asked for, else the only one that the folder holds.
fn choose(root: &Path, wanted: Option<Modality>, held: &[Modality]) -> Result<Modality> {
    match (wanted, held) {
        (Some(modality), _) | (None, &[modality]) => Ok(modality),
        _ => {
            let expected =
                "a modality to choose in the configuration (data.modality), since it holds CT and MR";
            Err(Error::content(root, expected, "none"))
        }
    }
}

/// Names in a folder, sorted, hidden ones left out.
fn names(folder: &Path) -> Result<Vec<String>> {
    let io = |source| Error::io(folder, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

/// `stem.nii.gz`, or `stem.nii` where only that is there.
fn volume(folder: &Path, stem: &str) -> PathBuf {
    let plain = folder.join(format!("{stem}.nii"));
    let packed = folder.join(format!("{stem}.nii.gz"));
    if plain.is_file() && !packed.is_file() { plain } else { packed }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
