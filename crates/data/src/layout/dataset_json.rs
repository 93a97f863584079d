//! The `dataset.json` of several layouts: classes, channels and lists of cases.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use bipvl_imaging::{LabelSchema, LabelSchemaError, formats::strip_ending};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Case;
use crate::{Error, Result};

/// nnU-Net's name for voxels that are not annotated.
const IGNORE: &str = "ignore";

/// The content of a `dataset.json` and its path.
pub(crate) struct DatasetJson {
    path: PathBuf,
    /// Regions are written in the order of the keys, which `content` does not keep.
    text: String,
    content: Value,
}

/// The keys of nnU-Net whose order matters.
#[derive(Deserialize)]
struct OrderedLabels {
    labels: IndexMap<String, OneOrSeveral>,
    regions_class_order: Option<Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(u16),
    Several(Vec<u16>),
}

impl OneOrSeveral {
    fn into_vec(self) -> Vec<u16> {
        match self {
            Self::One(label) => vec![label],
            Self::Several(labels) => labels,
        }
    }
}

impl DatasetJson {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let content = serde_json::from_str(&text).map_err(|error| Error::Syntax {
            path: path.to_owned(),
            syntax: "JSON",
            reason: error.to_string(),
        })?;
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
        value.as_str().ok_or_else(|| self.invalid(key, "a string", value))
    }

    /// The names under `{"0": name, "1": name}`, by number.
    pub(super) fn channels(&self, key: &str) -> Result<Vec<String>> {
        let numbered = self.object(key)?;
        let names =
            (0..numbered.len()).map(|channel| numbered.get(&channel.to_string()).and_then(Value::as_str));
        let names: Option<Vec<String>> = names.map(|name| name.map(str::to_owned)).collect();
        names.filter(|names| !names.is_empty()).ok_or_else(|| {
            self.invalid(key, "channel names numbered \"0\", \"1\", …", Value::Object(numbered.clone()))
        })
    }

    /// The classes; regions by nnU-Net's rule: one class of several labels makes regions of all.
    pub(crate) fn label_schema(&self) -> Result<LabelSchema> {
        let schema = if self.has("channel_names") { self.nnunet_schema()? } else { self.decathlon_schema()? };
        schema.map_err(Error::label_schema(&self.path))
    }

    /// The schema of `{label: name}`, in the order of the labels.
    fn decathlon_schema(&self) -> Result<std::result::Result<LabelSchema, LabelSchemaError>> {
        let mut labels: Vec<(u16, String)> = Vec::new();
        for (label, name) in self.object("labels")? {
            if label.parse::<u16>().is_err() && name.is_u64() {
                let expected = format!("{{\"{name}\": \"{label}\"}}");
                return Err(self.reversed(expected, format!("{{\"{label}\": {name}}}")));
            }
            let class =
                name.as_str().ok_or_else(|| self.invalid("labels", "a name for every label", name))?;
            let label = label.parse().map_err(|_| self.invalid("labels", "labels from 0 to 65535", label))?;
            labels.push((label, class.to_owned()));
        }
        labels.retain(|(label, _)| *label != 0);
        labels.sort();
        Ok(LabelSchema::exclusive(labels.into_iter().map(|(label, name)| (name, label))))
    }

    /// The schema of `{name: label}`, in the order of the labels, or of `{name: [labels]}` in the order of the keys,
    /// with the labels to write in `regions_class_order`.
    fn nnunet_schema(&self) -> Result<std::result::Result<LabelSchema, LabelSchemaError>> {
        for (name, label) in self.object("labels")? {
            if let (Ok(number), Some(class)) = (name.parse::<u16>(), label.as_str()) {
                return Err(
                    self.reversed(format!("{{{class:?}: {number}}}"), format!("{{\"{number}\": {class:?}}}"))
                );
            }
        }
        let OrderedLabels { labels, regions_class_order } =
            serde_json::from_str(&self.text).map_err(|error| {
                self.invalid("labels", "a label from 0 to 65535, or a list of such, for every class", error)
            })?;
        let mut classes: Vec<(String, Vec<u16>)> =
            labels.into_iter().map(|(name, labels)| (name, labels.into_vec())).collect();
        classes.retain(|(_, labels)| *labels != [0]);
        let ignore = classes.iter().position(|(name, labels)| name == IGNORE && labels.len() == 1);
        let ignore = ignore.map(|at| classes.remove(at).1[0]);
        let schema = if classes.iter().any(|(_, labels)| labels.len() > 1) {
            self.order_regions(&mut classes, regions_class_order.unwrap_or_default())?;
            LabelSchema::overlapping(classes)
        } else {
            classes.retain(|(_, labels)| !labels.is_empty());
            classes.sort_by_key(|(_, labels)| labels[0]);
            LabelSchema::exclusive(classes.into_iter().map(|(name, labels)| (name, labels[0])))
        };
        Ok(schema.and_then(|schema| schema.with_ignore(ignore)))
    }

    /// Puts the label that each region writes first.
    fn order_regions(&self, regions: &mut [(String, Vec<u16>)], order: Vec<u16>) -> Result<()> {
        const KEY: &str = "regions_class_order";
        if order.len() != regions.len() {
            let expected = format!("a label for each of {} regions", regions.len());
            return Err(self.invalid(KEY, &expected, format!("{order:?}")));
        }
        for ((name, region), output_label) in regions.iter_mut().zip(order) {
            let Some(position) = region.iter().position(|label| *label == output_label) else {
                let expected = format!("a label of the region {name:?} in its place");
                return Err(self.invalid(KEY, &expected, output_label));
            };
            region[..=position].rotate_right(1);
        }
        Ok(())
    }

    /// The cases of a list of `{"image": file, "label": file}`.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<Case>> {
        let list = self.get(key)?;
        let list = list.as_array().ok_or_else(|| self.invalid(key, "a list of cases", list))?;
        let mut cases = Vec::new();
        for entry in list {
            let file = |name: &str| -> Result<PathBuf> {
                let file = entry.get(name).and_then(Value::as_str);
                file.map(|file| self.resolve(file))
                    .ok_or_else(|| self.invalid(key, &format!("cases with `{name}`"), entry))
            };
            cases.push(Case {
                id: String::new(),
                images: vec![file("image")?],
                labels: Some(file("label")?),
            });
        }
        let root = self.root();
        let relative: Vec<&Path> =
            cases.iter().map(|case| case.images[0].strip_prefix(root).unwrap_or(&case.images[0])).collect();
        let ids = ids_of(&relative);
        for (case, id) in cases.iter_mut().zip(ids) {
            case.id = id;
        }
        Ok(cases)
    }

    /// The cases under nnU-Net's `dataset`: `{id: {"images": [files], "label": file}}`.
    pub(super) fn listed_cases(&self) -> Result<Vec<Case>> {
        const KEY: &str = "dataset";
        let case = |(id, entry): (&String, &Value)| {
            let invalid = || self.invalid(KEY, "cases with `images`, a list of files, and `label`", entry);
            let files = entry.get("images").and_then(Value::as_array).ok_or_else(invalid)?;
            let images: Option<Vec<PathBuf>> =
                files.iter().map(|file| file.as_str().map(|file| self.resolve(file))).collect();
            let images = images.filter(|images| !images.is_empty()).ok_or_else(invalid)?;
            let labels = entry.get("label").and_then(Value::as_str).ok_or_else(invalid)?;
            Ok(Case { id: id.clone(), images, labels: Some(self.resolve(labels)) })
        };
        self.object(KEY)?.iter().map(case).collect()
    }

    fn root(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    fn resolve(&self, file: &str) -> PathBuf {
        self.root().join(file.trim_start_matches("./"))
    }

    fn get(&self, key: &str) -> Result<&Value> {
        let missing = || Error::MissingKey { path: self.path.clone(), key: key.to_owned() };
        self.content.get(key).ok_or_else(missing)
    }

    fn object(&self, key: &str) -> Result<&Map<String, Value>> {
        let value = self.get(key)?;
        value.as_object().ok_or_else(|| self.invalid(key, "an object", value))
    }

    fn invalid(&self, key: &str, expected: &str, found: impl ToString) -> Error {
        Error::invalid_value(&self.path, key, expected, found)
    }

    fn reversed(&self, expected: String, found: String) -> Error {
        Error::LabelsReversed { path: self.path.clone(), expected, found }
    }
}

/// The names of files without endings; where some are equal, with as many of their folders as make all different.
fn ids_of(files: &[&Path]) -> Vec<String> {
    let components = |file: &Path| -> Vec<String> {
        let stem = strip_ending(file).map(|(stem, _)| stem);
        let stem =
            stem.unwrap_or_else(|| file.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let folders = file.parent().into_iter().flat_map(Path::components).filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        folders.chain([stem]).collect()
    };
    let paths: Vec<Vec<String>> = files.iter().map(|file| components(file)).collect();
    let deepest = paths.iter().map(Vec::len).max().unwrap_or(1);
    let ids = |depth: usize| -> Vec<String> {
        paths.iter().map(|path| path[path.len().saturating_sub(depth)..].join("_")).collect()
    };
    let is_unique = |ids: &Vec<String>| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    (1..=deepest).map(ids).find(is_unique).unwrap_or_else(|| ids(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> std::result::Result<LabelSchema, String> {
        let path = PathBuf::from("dataset.json");
        let content = serde_json::from_str(text).unwrap();
        DatasetJson { path, text: text.to_owned(), content }.label_schema().map_err(|error| error.to_string())
    }

    const BRAIN: &str = r#"{"channel_names": {}, "labels": {"background": 0, "whole_tumor": [1, 2, 3],
        "tumor_core": [2, 3], "enhancing_tumor": 3}, "regions_class_order": [1, 2, 3]}"#;

    #[test]
    fn an_nnunet_file_gives_the_order_and_the_output_labels_of_regions() {
        // The orders of nnU-Net's documentation (brain) and of its KiTS 2023 set; keys are not in alphabetical order.
        let brain = schema(BRAIN).unwrap();
        assert_eq!(brain.names(), ["whole_tumor", "tumor_core", "enhancing_tumor"]);
        assert_eq!(brain.label_sets(), [&[1, 2, 3][..], &[2, 3], &[3]]);
        let kits = r#"{"channel_names": {}, "labels": {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3],
            "tumor": 2}, "regions_class_order": [1, 3, 2]}"#;
        assert_eq!(schema(kits).unwrap().label_sets(), [&[1, 2, 3][..], &[3, 2], &[2]]);
        for (old, new, words) in [
            (
                r#", "regions_class_order": [1, 2, 3]"#,
                "",
                "`regions_class_order` must be a label for each of 3",
            ),
            ("[1, 2, 3]}", "[1, 2]}", "not [1, 2]"),
            ("[1, 2, 3]}", "[1, 1, 3]}", "a label of the region \"tumor_core\""),
            ("[2, 3]", "[2, \"x\"]", "a list of such, for every class"),
            ("[2, 3]", "[0, 2, 3]", "label 0 is reserved"),
        ] {
            let error = schema(&BRAIN.replacen(old, new, 1)).unwrap_err();
            assert!(error.contains(words), "{words} is not in {error}");
        }
    }

    #[test]
    fn the_ignore_label_is_no_class_with_and_without_regions() {
        let regions = BRAIN.replace("\"enhancing_tumor\": 3", "\"enhancing_tumor\": 3, \"ignore\": 4");
        let regions = schema(&regions).unwrap();
        assert_eq!((regions.num_classes(), regions.ignore()), (3, Some(4)));
        let text =
            r#"{"channel_names": {}, "labels": {"background": 0, "liver": 1, "spleen": 2, "ignore": 3}}"#;
        let exclusive = schema(text).unwrap();
        assert_eq!(
            (exclusive.names(), exclusive.labels()),
            (vec!["liver".to_owned(), "spleen".to_owned()], &[1, 2][..])
        );
        assert_eq!((exclusive.ignore(), exclusive.num_logit_channels()), (Some(3), 3));
    }

    #[test]
    fn labels_the_wrong_way_round_are_shown_the_right_way() {
        let nnunet = r#"{"channel_names": {}, "labels": {"0": "background", "1": "liver"}}"#;
        let expected = "dataset.json: `labels` is the wrong way round; this layout has {\"background\": 0}, \
                        not {\"0\": \"background\"}";
        assert_eq!(schema(nnunet).unwrap_err(), expected);
        let decathlon = r#"{"labels": {"liver": 1}}"#;
        assert!(schema(decathlon).unwrap_err().ends_with("has {\"1\": \"liver\"}, not {\"liver\": 1}"));
    }

    #[test]
    fn ids_are_file_names_or_as_much_of_the_path_as_tells_them_apart() {
        let ids = |files: &[&str]| ids_of(&files.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(ids(&["imagesTr/p.1.nii.gz", "imagesTr/p.2.nii"]), ["p.1", "p.2"]);
        assert_eq!(ids(&["s0/ct.nii.gz", "s1/ct.nii.gz", "s2/mr.nii.gz"]), ["s0_ct", "s1_ct", "s2_mr"]);
        assert_eq!(ids(&["a/x/ct.nii", "b/x/ct.nii"]), ["a_x_ct", "b_x_ct"]);
        assert_eq!(ids(&["a/ct.nii", "a/ct.nii"]), ["ct", "ct"]);
    }
}
