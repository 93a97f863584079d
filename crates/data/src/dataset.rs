//! A folder of cases with one set of classes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bipvl_imaging::{
    Grid, LabelMap, LabelRemap, LabelSchema, LabelSchemaSpec, apply_remap, read_labels, reoriented_like,
};
use serde::{Deserialize, Serialize};

use super::{Layout, case_descriptions};
use crate::{Error, Result};

/// A folder of cases with one set of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// The arrangement of its files.
    pub layout: Layout,
    /// The name in the manifest, else the folder's.
    pub name: String,
    /// The imaging modality.
    pub modality: Modality,
    /// The names of the channels, in order.
    pub channels: Vec<String>,
    /// The classes to train and predict.
    pub label_schema: LabelSchema,
    /// The classes as the folder defines them, before a configuration overrides them.
    pub source_schema: LabelSchema,
    /// The cases to train and validate on, sorted by id.
    pub cases: Vec<Case>,
    /// The test cases of the data set itself, sorted by id.
    pub test: Vec<Case>,
    /// Images without labels, where the layout pairs files by name.
    pub unlabeled: Vec<PathBuf>,
    /// Files in the folders of images and labels that belong to no case.
    pub skipped: Vec<PathBuf>,
}

/// One patient's images, with or without labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The file name without channel number and ending, or the part of the path that is unique.
    pub id: String,
    /// One file with all channels, or one file per channel.
    pub images: Vec<PathBuf>,
    /// The label map of the reference, where there is one.
    pub labels: Option<PathBuf>,
}

/// Imaging modality (DICOM attribute 0008,0060).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Computed tomography; intensities are Hounsfield units.
    Ct,
    /// Magnetic resonance, or anything else; intensities have no unit.
    Mr,
}

/// What a configuration changes of a data set; the rest is read from the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DatasetOverrides {
    /// The modality, which also chooses the cases where a folder holds both.
    pub modality: Option<Modality>,
    /// Other classes, or labels that count as others.
    pub label_schema: LabelSchemaSpec,
}

impl Dataset {
    /// Reads a folder in one of the public [`Layout`]s. Descriptions of single cases are in `descriptionsTr`
    /// ([`Case::descriptions_path`]).
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn open(root: &Path) -> Result<Self> {
        Self::read(root, &DatasetOverrides::default())
    }

    /// Reads a folder with the overrides of a configuration.
    ///
    /// # Errors
    ///
    /// When the layout is unknown, the manifest or the label schema is invalid, there is no case, or a file of a
    /// case is missing.
    pub fn read(root: &Path, overrides: &DatasetOverrides) -> Result<Self> {
        let dataset = Self::list(root, overrides)?;
        dataset.ensure_cases()?;
        case_descriptions::check(root, &dataset.cases)?;
        dataset.ensure_files()?;
        Ok(dataset)
    }

    /// Lists the cases without checking that their files exist.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`], except for missing files and no cases.
    pub fn list(root: &Path, overrides: &DatasetOverrides) -> Result<Self> {
        let layout = Layout::detect(root)?;
        let index = layout.list(root, overrides.modality)?;
        let manifest = layout.manifest_path(root);
        let source_schema = index.label_schema;
        let label_schema = overrides.label_schema.clone().resolve(&source_schema);
        let folder_name = || root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            root: root.to_owned(),
            layout,
            name: index.name.unwrap_or_else(folder_name),
            modality: overrides.modality.unwrap_or(index.modality),
            channels: index.channels,
            label_schema: label_schema.map_err(Error::label_schema(&manifest))?,
            source_schema,
            cases: sorted(&manifest, index.cases)?,
            test: sorted(&manifest, index.test)?,
            unlabeled: index.unlabeled,
            skipped: index.skipped,
        })
    }

    /// Files of cases that do not exist.
    pub fn missing_files(&self) -> Vec<&Path> {
        let files =
            self.cases.iter().chain(&self.test).flat_map(|case| case.images.iter().chain(&case.labels));
        files.map(PathBuf::as_path).filter(|file| !file.is_file()).collect()
    }

    /// Checks that there is a case.
    ///
    /// # Errors
    ///
    /// When there is none; the message says which files there are instead.
    pub fn ensure_cases(&self) -> Result<()> {
        if !self.cases.is_empty() {
            return Ok(());
        }
        let mut endings: BTreeMap<String, usize> = BTreeMap::new();
        for file in self.skipped.iter().chain(&self.unlabeled) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ending = name.find('.').map_or("no ending", |dot| &name[dot..]);
            *endings.entry(ending.to_owned()).or_default() += 1;
        }
        let files: Vec<String> =
            endings.iter().map(|(ending, count)| format!("{count} × {ending}")).collect();
        let hint =
            if files.is_empty() { String::new() } else { format!("; there are files {}", files.join(", ")) };
        Err(Error::NoCases { path: self.layout.manifest_path(&self.root), hint })
    }

    /// Checks that the files of all cases exist.
    ///
    /// # Errors
    ///
    /// When one does not.
    pub fn ensure_files(&self) -> Result<()> {
        let missing = self.missing_files();
        let Some(first) = missing.first() else { return Ok(()) };
        let (path, listed) = (self.layout.manifest_path(&self.root), first.to_path_buf());
        match with_channel_number(first) {
            Some(found) => Err(Error::ListedWithoutChannel { path, listed, found }),
            None => Err(Error::MissingFiles { manifest: path, first: listed, count: missing.len() }),
        }
    }
}

impl Case {
    /// The patient: the id up to `_frame`, which the two phases of a patient of ACDC share. A split keeps the cases
    /// of a patient together.
    pub fn patient(&self) -> &str {
        self.id.split_once("_frame").map_or(&self.id, |(patient, _)| patient)
    }
}

impl Modality {
    /// CT if a channel name contains CT as a word (any case; also CTA, CBCT, or spelled out), else MR.
    pub fn from_channels<S: AsRef<str>>(channels: &[S]) -> Self {
        let is_ct = |channel: &S| {
            let name = channel.as_ref().to_lowercase();
            let words: Vec<&str> = name
                .split(|letter: char| !letter.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            let is_abbreviation = |word: &&str| {
                matches!(
                    word.trim_end_matches(|letter: char| letter.is_ascii_digit()),
                    "ct" | "cta" | "cbct" | "cect" | "ncct"
                )
            };
            words.iter().any(is_abbreviation)
                || words.array_windows().any(|pair| *pair == ["computed", "tomography"])
        };
        if channels.iter().any(is_ct) { Self::Ct } else { Self::Mr }
    }

    /// `CT` or `MR`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ct => "CT",
            Self::Mr => "MR",
        }
    }
}

/// Reads a label map for an image on `grid` and replaces the labels that count as others. If it covers the same voxels
/// in another axis order or direction, it is reoriented, which is lossless; otherwise it stays on its own grid.
///
/// # Errors
///
/// When the file is not a label map.
pub fn read_reference(path: &Path, remap: &[LabelRemap], grid: &Grid) -> Result<LabelMap> {
    let mut labels = reoriented_like(read_labels(path)?, grid);
    apply_remap(remap, &mut labels);
    Ok(labels)
}

/// The existing file `NAME_0000.ending` in the place of `NAME.ending`.
fn with_channel_number(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    let (stem, ending) = bipvl_imaging::formats::strip_ending(Path::new(name))?;
    let found = file.with_file_name(format!("{stem}_0000{ending}"));
    found.is_file().then_some(found)
}

fn sorted(path: &Path, mut cases: Vec<Case>) -> Result<Vec<Case>> {
    cases.sort_by(|one, other| one.id.cmp(&other.id));
    match cases.array_windows().find(|[one, other]| one.id == other.id) {
        Some([case, _]) => Err(Error::DuplicateCase { path: path.to_owned(), id: case.id.clone() }),
        None => Ok(cases),
    }
}
