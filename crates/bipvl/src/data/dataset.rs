//! Lists the cases of a data set and splits them, by a written rule and a seed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::case_descriptions;
use crate::error::{Error, Result};

/// Class indices are stored in a byte, and 0 is background.
const MAX_CLASSES: usize = 255;

/// A folder of cases with one set of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// The data set's name for itself, else the folder's.
    pub name: String,
    /// What the volumes were taken with.
    pub modality: Modality,
    /// The names of the channels, in order.
    pub channels: Vec<String>,
    /// The names of the classes in the order of their labels.
    pub classes: Vec<String>,
    /// The label of each class in the files; the network's class index is 1 + the position here.
    pub labels: Vec<u16>,
    /// The cases to train on, sorted by id.
    pub cases: Vec<Case>,
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

/// The two parts of a fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The cases to train on.
    pub train: Vec<Case>,
    /// The cases to validate on.
    pub val: Vec<Case>,
}

impl Dataset {
    /// Reads the `dataset.json` of a folder laid out like the Medical Segmentation Decathlon
    /// (`modality`, `training`) or nnU-Net version 2 (`channel_names`, `file_ending`), and finds the files.
    /// Descriptions of a single case lie in `descriptionsTr` ([`Case::descriptions`]).
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a key is missing or malformed, a case lacks a file, or descriptions lack a
    /// case.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("dataset.json");
        if !path.is_file() {
            let found = if root.is_dir() { "a folder without it" } else { "no such folder" };
            return Err(Error::content(root, "the folder of a data set, with dataset.json in it", found));
        }
        let content = read_json(&path)?;
        let description = JsonFile { path: &path, content: &content };
        let (classes, labels) = description.classes()?;
        let (channels, cases) =
            if description.is_nnunet() { description.nnunet(root)? } else { description.decathlon(root)? };
        let cases = description.sorted(cases)?;
        case_descriptions::check(root, &cases)?;
        let own_name = content.get("name").and_then(Value::as_str);
        let folder_name = || root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            root: root.to_owned(),
            name: own_name.map_or_else(folder_name, str::to_owned),
            modality: Modality::of(&channels),
            channels,
            classes,
            labels,
            cases,
        })
    }
}

/// The names of the classes in the order of their labels, and the labels, from a `dataset.json` of any name;
/// no case is looked for.
///
/// # Errors
///
/// When the file cannot be read or its labels are malformed.
pub fn read_classes(path: &Path) -> Result<(Vec<String>, Vec<u16>)> {
    let content = read_json(path)?;
    JsonFile { path, content: &content }.classes()
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read(path).map_err(|source| Error::io(path, source))?;
    serde_json::from_slice(&text).map_err(|error| Error::content(path, "JSON", error.to_string()))
}

/// Fold `index` of `num_folds`: the cases are sorted by id and shuffled by the seed; after that the `i`-th
/// is for validation when `i % num_folds == index`, else for training. Both parts are sorted by id.
///
/// # Panics
///
/// When there is no such fold.
pub fn fold(cases: &[Case], index: usize, num_folds: usize, seed: u64) -> Split {
    assert!(index < num_folds, "there is no fold {index} of {num_folds}");
    let mut shuffled = cases.to_vec();
    shuffled.sort_by(|one, other| one.id.cmp(&other.id));
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (val, train): (Vec<_>, Vec<_>) =
        shuffled.into_iter().enumerate().partition(|(position, _)| position % num_folds == index);
    let sorted = |part: Vec<(usize, Case)>| {
        let mut cases: Vec<Case> = part.into_iter().map(|(_, case)| case).collect();
        cases.sort_by(|one, other| one.id.cmp(&other.id));
        cases
    };
    Split { train: sorted(train), val: sorted(val) }
}

/// The content of a `dataset.json` and where it came from.
struct JsonFile<'a> {
    path: &'a Path,
    content: &'a Value,
}

impl JsonFile<'_> {
    fn is_nnunet(&self) -> bool {
        self.content.get("channel_names").is_some()
    }

    fn decathlon(&self, root: &Path) -> Result<(Vec<String>, Vec<Case>)> {
        let training = self.get("training")?.as_array();
        let training = training.ok_or_else(|| self.wrong("a list under \"training\"", "something else"))?;
        let cases = training.iter().map(|entry| {
            let file = |key: &str| {
                let name = entry.get(key).and_then(Value::as_str);
                let name = name.ok_or_else(|| self.wrong(&format!("\"{key}\" in every case"), entry))?;
                self.existing(root.join(name.trim_start_matches("./")))
            };
            let image = file("image")?;
            Ok(Case { id: id_of(&image), images: vec![image], labels: Some(file("label")?) })
        });
        let cases = cases.collect::<Result<Vec<_>>>()?;
        Ok((self.channels("modality")?, cases))
    }

    fn nnunet(&self, root: &Path) -> Result<(Vec<String>, Vec<Case>)> {
        let channels = self.channels("channel_names")?;
        let ending = self.get("file_ending")?;
        let ending = ending.as_str().ok_or_else(|| self.wrong("a text under \"file_ending\"", ending))?;
        let folder = root.join("labelsTr");
        let mut cases = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|source| Error::io(&folder, source))? {
            let entry = entry.map_err(|source| Error::io(&folder, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(ending).filter(|id| !id.starts_with('.')) else { continue };
            let images = (0..channels.len()).map(|channel| {
                self.existing(root.join("imagesTr").join(format!("{id}_{channel:04}{ending}")))
            });
            cases.push(Case {
                id: id.to_owned(),
                images: images.collect::<Result<_>>()?,
                labels: Some(entry.path()),
            });
        }
        Ok((channels, cases))
    }

    /// Name and label as the Decathlon writes them: `{"1": name}`.
    fn decathlon_class(&self, (label, name): (&String, &Value)) -> Result<(u16, String)> {
        let name = name.as_str().ok_or_else(|| self.wrong("a name for every label", name))?;
        let label = label.parse().map_err(|_| self.wrong("labels from 0 to 65535", label))?;
        Ok((label, name.to_owned()))
    }

    /// Name and label as nnU-Net writes them: `{name: 1}`.
    fn nnunet_class(&self, (name, label): (&String, &Value)) -> Result<(u16, String)> {
        let label = label
            .as_u64()
            .and_then(|label| u16::try_from(label).ok())
            .ok_or_else(|| self.wrong(&format!("one label from 0 to 65535 for \"{name}\""), label))?;
        Ok((label, name.clone()))
    }

    fn classes(&self) -> Result<(Vec<String>, Vec<u16>)> {
        let entries = self.object("labels")?.iter();
        let mut labels: Vec<(u16, String)> = if self.is_nnunet() {
            entries.map(|entry| self.nnunet_class(entry)).collect::<Result<_>>()?
        } else {
            entries.map(|entry| self.decathlon_class(entry)).collect::<Result<_>>()?
        };
        labels.retain(|(label, _)| *label != 0);
        labels.sort();
        if labels.is_empty() || labels.len() > MAX_CLASSES {
            let expected = format!("from 1 to {MAX_CLASSES} classes besides the background");
            return Err(self.wrong(&expected, labels.len()));
        }
        if let Some(pair) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(self.wrong("another label for every class", format!("{} twice", pair[0].0)));
        }
        let mut names: Vec<&String> = labels.iter().map(|(_, name)| name).collect();
        names.sort();
        if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
            return Err(self.wrong("another name for every class", format!("\"{name}\" twice")));
        }
        Ok(labels.into_iter().map(|(label, name)| (name, label)).unzip())
    }

    fn sorted(&self, mut cases: Vec<Case>) -> Result<Vec<Case>> {
        cases.sort_by(|one, other| one.id.cmp(&other.id));
        if cases.is_empty() {
            return Err(self.wrong("at least one case", "none"));
        }
        if let Some(pair) = cases.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(self.wrong("each case once", format!("\"{}\" twice", pair[0].id)));
        }
        Ok(cases)
    }

    /// The names under `{"0": name, "1": name}`, by number.
    fn channels(&self, key: &str) -> Result<Vec<String>> {
        let numbered = self.object(key)?;
        let names =
            (0..numbered.len()).map(|channel| numbered.get(&channel.to_string()).and_then(Value::as_str));
        let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
        names.filter(|names| !names.is_empty()).ok_or_else(|| {
            self.wrong(&format!("names \"0\", \"1\", … under \"{key}\""), Value::Object(numbered.clone()))
        })
    }

    fn get(&self, key: &str) -> Result<&Value> {
        self.content.get(key).ok_or_else(|| self.wrong(&format!("the key \"{key}\""), "none"))
    }

    fn object(&self, key: &str) -> Result<&Map<String, Value>> {
        let value = self.get(key)?;
        value.as_object().ok_or_else(|| self.wrong(&format!("an object under \"{key}\""), value))
    }

    fn existing(&self, file: PathBuf) -> Result<PathBuf> {
        if file.is_file() {
            return Ok(file);
        }
        Err(self.wrong(&format!("the file {}", file.display()), "no such file"))
    }

    fn wrong(&self, expected: &str, found: impl ToString) -> Error {
        Error::content(self.path, expected, found.to_string())
    }
}

impl Modality {
    /// A channel that calls itself CT is one; everything else is magnetic resonance.
    fn of(channels: &[String]) -> Self {
        let is_ct = |name: &String| name.contains("CT") || name.eq_ignore_ascii_case("ct");
        if channels.iter().any(is_ct) { Self::Ct } else { Self::Mr }
    }
}

fn id_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".gz").trim_end_matches(".nii").to_owned()
}
