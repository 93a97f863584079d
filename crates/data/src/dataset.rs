//! A folder of cases with one set of classes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bipvl_imaging::{LabelMap, read_labels};
use serde::{Deserialize, Serialize};

use super::{Labeling, Layout, Regions, case_descriptions, check_regions, regions::labels_of};
use crate::{Error, Result};

/// The places of labels in their list are stored in a byte, and 0 is background.
const MAX_LABELS: usize = 255;

/// A folder of cases with one set of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// How files are arranged in it.
    pub layout: Layout,
    /// The data set's name for itself, else the folder's.
    pub name: String,
    /// What the volumes were taken with.
    pub modality: Modality,
    /// The names of the channels, in order.
    pub channels: Vec<String>,
    /// The names of the classes in the order of the network.
    pub classes: Vec<String>,
    /// The labels in the files; a class index is 1 + the position here. Each is one class, but for regions.
    pub labels: Vec<u16>,
    /// The labels of each class where classes overlap; none where they exclude each other.
    pub regions: Regions,
    /// The classes as the folder itself has them, whatever a configuration calls them.
    pub source_classes: SourceClasses,
    /// Labels of the files that count as others.
    pub relabel: Vec<LabelRemap>,
    /// The cases to train and validate on, sorted by id.
    pub cases: Vec<Case>,
    /// Cases that the data set itself puts aside for the test, sorted by id.
    pub test: Vec<Case>,
}

/// Classes as the folder of a data set has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceClasses {
    /// Names in the order of the labels.
    pub names: Vec<String>,
    /// The label of each.
    pub labels: Vec<u16>,
}

/// One volume, with or without its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The file's name without channel and extension.
    pub id: String,
    /// One file with all channels, or one file per channel.
    pub images: Vec<PathBuf>,
    /// The reference, where there is one.
    pub labels: Option<PathBuf>,
}

/// What a volume was taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Computed tomography; intensities are Hounsfield units.
    Ct,
    /// Magnetic resonance; intensities have no unit.
    Mr,
}

/// A label of the files that counts as another: of a second part of a class, or a slip of the annotators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRemap {
    /// The label in the files.
    pub from: u16,
    /// The label of a class, or 0 for background.
    pub to: u16,
}

/// What a configuration says of its data set; what it leaves open is read from the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DatasetOverrides {
    /// Which cases, where a folder holds both; else what the volumes were taken with.
    pub modality: Option<Modality>,
    /// The names of the classes, with `labels`.
    pub classes: Option<Vec<String>>,
    /// The label of each class in the files, with `classes`.
    pub labels: Option<Vec<u16>>,
    /// Sets of labels that are the classes instead, where these overlap.
    pub regions: Regions,
    /// Labels of the files that count as others.
    pub relabel: Vec<LabelRemap>,
}

impl DatasetOverrides {
    /// Whether the regions fit together, before it is known which labels the files hold.
    ///
    /// # Errors
    ///
    /// As [`check_regions`]; `path` is named.
    pub fn check(&self, path: &Path) -> Result<()> {
        check_regions(path, &self.regions, &labels_of(&self.regions))
    }
}

impl Dataset {
    /// Reads a folder in the layout in which a data set is downloaded; [`Layout`] lists those that are known.
    /// Descriptions of a single case lie in `descriptionsTr` ([`Case::descriptions`]).
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`].
    pub fn open(root: &Path) -> Result<Self> {
        Self::read(root, &DatasetOverrides::default())
    }

    /// Reads a folder as a configuration wants it.
    ///
    /// # Errors
    ///
    /// When no layout fits, a file that describes the data set is malformed, classes and labels do not fit
    /// together, there is no case, or a case lacks a file.
    pub fn read(root: &Path, wanted: &DatasetOverrides) -> Result<Self> {
        let dataset = Self::list(root, wanted)?;
        let index = dataset.layout.index(root);
        if dataset.cases.is_empty() {
            return Err(Error::content(&index, "at least one case", "none"));
        }
        case_descriptions::check(root, &dataset.cases)?;
        match &dataset.missing()[..] {
            [] => Ok(dataset),
            [file, others @ ..] => {
                let found = match others.len() {
                    0 => "no such file".to_owned(),
                    count => format!("no such file, and {count} more are missing"),
                };
                Err(Error::content(&index, format!("the file {}", file.display()), found))
            }
        }
    }

    /// Lists what should be in the folder, without looking whether it is.
    ///
    /// # Errors
    ///
    /// As [`Dataset::read`], but for missing files and no cases.
    pub fn list(root: &Path, wanted: &DatasetOverrides) -> Result<Self> {
        let layout = Layout::detect(root)?;
        let listing = layout.list(root, wanted.modality)?;
        let index = layout.index(root);
        let source_classes = SourceClasses { names: listing.classes, labels: listing.labels };
        let (classes, labels, regions) = match (&wanted.classes, &wanted.labels) {
            (_, labels) if !wanted.regions.is_empty() => {
                let names = wanted.regions.keys().cloned().collect();
                let labels = labels.as_ref().unwrap_or(&source_classes.labels);
                (names, labels.clone(), wanted.regions.clone())
            }
            (Some(classes), Some(labels)) => (classes.clone(), labels.clone(), Regions::new()),
            (None, None) => (source_classes.names.clone(), source_classes.labels.clone(), listing.regions),
            _ => {
                let expected = "data.classes and data.labels in the configuration, or neither";
                return Err(Error::content(root, expected, "one of them"));
            }
        };
        if regions.is_empty() {
            check_classes(&index, &classes, &labels)?;
        } else {
            check_labels(&index, &labels)?;
            check_regions(&index, &regions, &labels)?;
        }
        check_relabel(&index, &wanted.relabel, &labels)?;
        let folder_name = || root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            root: root.to_owned(),
            layout,
            name: listing.name.unwrap_or_else(folder_name),
            modality: wanted.modality.unwrap_or(listing.modality),
            channels: listing.channels,
            classes,
            labels,
            regions,
            source_classes,
            relabel: wanted.relabel.clone(),
            cases: sorted(&index, listing.cases)?,
            test: sorted(&index, listing.test)?,
        })
    }

    /// How the labels in the files stand for the classes.
    pub fn labeling(&self) -> Labeling {
        Labeling::of(&self.labels, &self.regions)
    }

    /// Files that a case names and that are not there.
    pub fn missing(&self) -> Vec<&Path> {
        let files =
            self.cases.iter().chain(&self.test).flat_map(|case| case.images.iter().chain(&case.labels));
        files.map(PathBuf::as_path).filter(|file| !file.is_file()).collect()
    }
}

impl Case {
    /// Cases of one patient share what stands before `_frame` in their ids: the two phases of ACDC.
    pub fn patient(&self) -> &str {
        self.id.split_once("_frame").map_or(&self.id, |(patient, _)| patient)
    }
}

impl Modality {
    /// A channel that calls itself CT is one; everything else is magnetic resonance.
    pub(super) fn of(channels: &[String]) -> Self {
        let is_ct = |name: &String| name.contains("CT") || name.eq_ignore_ascii_case("ct");
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

/// Reads the reference of a case; labels count as what `relabel` says.
///
/// # Errors
///
/// When the file is no label map.
pub fn read_reference(path: &Path, relabel: &[LabelRemap]) -> Result<LabelMap> {
    let mut labels = read_labels(path)?;
    if !relabel.is_empty() {
        let counts_as: BTreeMap<u16, u16> = relabel.iter().map(|rule| (rule.from, rule.to)).collect();
        labels.voxels_mut().mapv_inplace(|label| counts_as.get(&label).copied().unwrap_or(label));
    }
    Ok(labels)
}

/// Whether every class has a name and a label of its own.
pub(super) fn check_classes(path: &Path, classes: &[String], labels: &[u16]) -> Result<()> {
    let wrong = |expected: &str, found: String| Err(Error::content(path, expected, found));
    check_labels(path, labels)?;
    if classes.len() != labels.len() {
        return wrong("a label for every class", format!("{} for {}", labels.len(), classes.len()));
    }
    match twice(classes) {
        Some(name) => wrong("another name for every class", format!("\"{name}\" twice")),
        None => Ok(()),
    }
}

/// Whether there are labels besides that of the background, each once, and no more than a byte can tell apart.
pub(super) fn check_labels(path: &Path, labels: &[u16]) -> Result<()> {
    let wrong = |expected: &str, found: String| Err(Error::content(path, expected, found));
    if labels.is_empty() || labels.len() > MAX_LABELS {
        let expected = format!("from 1 to {MAX_LABELS} labels of classes");
        return wrong(&expected, labels.len().to_string());
    }
    if labels.contains(&0) {
        return wrong("labels of classes from 1 on", "0, the background".to_owned());
    }
    match twice(labels) {
        Some(label) => wrong("another label for every class", format!("{label} twice")),
        None => Ok(()),
    }
}

/// Whether every relabeled label is no class and counts as one, or as background.
fn check_relabel(path: &Path, relabel: &[LabelRemap], labels: &[u16]) -> Result<()> {
    let wrong = |expected: &str, found: u16| Err(Error::content(path, expected, found.to_string()));
    let from: Vec<u16> = relabel.iter().map(|rule| rule.from).collect();
    if let Some(label) = twice(&from) {
        return wrong("each label relabeled once", *label);
    }
    for LabelRemap { from, to } in relabel {
        if *from == 0 || labels.contains(from) {
            return wrong("labels to relabel that are no class's and not 0", *from);
        }
        if *to != 0 && !labels.contains(to) {
            return wrong(&format!("that {from} counts as a class's label or 0"), *to);
        }
    }
    Ok(())
}

fn sorted(path: &Path, mut cases: Vec<Case>) -> Result<Vec<Case>> {
    cases.sort_by(|one, other| one.id.cmp(&other.id));
    match cases.array_windows().find(|[one, other]| one.id == other.id) {
        Some([case, _]) => Err(Error::content(path, "each case once", format!("\"{}\" twice", case.id))),
        None => Ok(cases),
    }
}

fn twice<T: Ord>(values: &[T]) -> Option<&T> {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort();
    sorted.array_windows().find(|[one, other]| one == other).map(|[one, _]| *one)
}
