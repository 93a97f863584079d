//! The `dataset.json` that several layouts have: its classes, channels and lists.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    super::{
        classes::Classes,
        dataset::{check_classes, check_labels},
        regions::{labels_of, nnunet_regions},
    },
    Case, Regions,
};
use crate::{Error, Result};

/// The content of a `dataset.json` and where it came from.
pub(crate) struct DatasetJson {
    path: PathBuf,
    /// The order of the keys is in this alone.
    text: String,
    content: Value,
}

impl DatasetJson {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        let content =
            serde_json::from_str(&text).map_err(|error| Error::content(path, "JSON", error.to_string()))?;
        Ok(Self { path: path.to_owned(), text, content })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.content.get(key).is_some()
    }

    pub(super) fn name(&self) -> Option<String> {
        self.content.get("name").and_then(Value::as_str).map(str::to_owned)
    }

    pub(super) fn text(&self, key: &str) -> Result<&str> {
        let value = self.get(key)?;
        value.as_str().ok_or_else(|| self.wrong(&format!("a text under \"{key}\""), value))
    }

    /// The names under `{"0": name, "1": name}`, by number.
    pub(super) fn channels(&self, key: &str) -> Result<Vec<String>> {
        let numbered = self.object(key)?;
        let names =
            (0..numbered.len()).map(|channel| numbered.get(&channel.to_string()).and_then(Value::as_str));
        let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
        names.filter(|names| !names.is_empty()).ok_or_else(|| {
            self.wrong(&format!("names \"0\", \"1\", … under \"{key}\""), Value::Object(numbered.clone()))
        })
    }

    /// The classes of one label each, or the regions.
    pub(crate) fn classes(&self) -> Result<Classes> {
        if !self.has_regions()? {
            let (names, labels) = self.single_classes()?;
            return Ok(Classes { names, labels, regions: Regions::new() });
        }
        let regions = nnunet_regions(&self.path, &self.text)?;
        let labels = labels_of(&regions);
        check_labels(&self.path, &labels)?;
        Ok(Classes { names: regions.keys().cloned().collect(), labels, regions })
    }

    /// nnU-Net's rule: one class of several labels makes regions of all.
    fn has_regions(&self) -> Result<bool> {
        let is_region = |labels: &Value| labels.as_array().is_some_and(|labels| labels.len() > 1);
        Ok(self.has("channel_names") && self.object("labels")?.values().any(is_region))
    }

    pub(super) fn single_classes(&self) -> Result<(Vec<String>, Vec<u16>)> {
        let entries = self.object("labels")?.iter();
        // nnU-Net writes {name: label}, the others {label: name}.
        let mut labels: Vec<(u16, String)> = if self.has("channel_names") {
            entries.map(|entry| self.class_by_name(entry)).collect::<Result<_>>()?
        } else {
            entries.map(|entry| self.class_by_label(entry)).collect::<Result<_>>()?
        };
        labels.retain(|(label, _)| *label != 0);
        labels.sort();
        let (labels, names): (Vec<u16>, Vec<String>) = labels.into_iter().unzip();
        check_classes(&self.path, &names, &labels)?;
        Ok((names, labels))
    }

    fn class_by_label(&self, (label, name): (&String, &Value)) -> Result<(u16, String)> {
        let name = name.as_str().ok_or_else(|| self.wrong("a name for every label", name))?;
        let label = label.parse().map_err(|_| self.wrong("labels from 0 to 65535", label))?;
        Ok((label, name.to_owned()))
    }

    fn class_by_name(&self, (name, label): (&String, &Value)) -> Result<(u16, String)> {
        let label = label
            .as_u64()
            .and_then(|label| u16::try_from(label).ok())
            .ok_or_else(|| self.wrong(&format!("one label from 0 to 65535 for \"{name}\""), label))?;
        Ok((label, name.clone()))
    }

    /// The cases of a list of `{"image": file, "label": file}`.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<Case>> {
        let list = self.get(key)?.as_array();
        let list = list.ok_or_else(|| self.wrong(&format!("a list under \"{key}\""), "something else"))?;
        let root = self.path.parent().unwrap_or(Path::new(""));
        let cases = list.iter().map(|entry| {
            let file = |key: &str| -> Result<PathBuf> {
                let name = entry.get(key).and_then(Value::as_str);
                let name = name.ok_or_else(|| self.wrong(&format!("\"{key}\" in every case"), entry))?;
                Ok(root.join(name.trim_start_matches("./")))
            };
            let image = file("image")?;
            Ok(Case { id: id_of(&image), images: vec![image], labels: Some(file("label")?) })
        });
        cases.collect()
    }

    fn get(&self, key: &str) -> Result<&Value> {
        self.content.get(key).ok_or_else(|| self.wrong(&format!("the key \"{key}\""), "none"))
    }

    fn object(&self, key: &str) -> Result<&Map<String, Value>> {
        let value = self.get(key)?;
        value.as_object().ok_or_else(|| self.wrong(&format!("an object under \"{key}\""), value))
    }

    fn wrong(&self, expected: &str, found: impl ToString) -> Error {
        Error::content(&self.path, expected, found.to_string())
    }
}

fn id_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".gz").trim_end_matches(".nii").to_owned()
}
