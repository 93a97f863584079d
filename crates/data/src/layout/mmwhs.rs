//! MM-WHS 2017 (Zhuang and Shen, Medical Image Analysis 31:77): a folder per modality with pairs of files; no file
//! explains the labels.

use std::path::Path;

use bipvl_imaging::{LabelSchema, formats::strip_ending};

use super::{super::case_files::files_in, Case, DatasetIndex, choose, image_file};
use crate::{Error, Modality, Result};

/// The folders of the labeled cases.
pub(super) const FOLDERS: [(&str, Modality); 2] = [("ct_train", Modality::Ct), ("mr_train", Modality::Mr)];
/// Names of the data set's description, in the order of the paper's descriptions.
const CLASSES: [(&str, u16); 7] = [
    ("left ventricle", 500),
    ("right ventricle", 600),
    ("left atrium", 420),
    ("right atrium", 550),
    ("left ventricular myocardium", 205),
    ("ascending aorta", 820),
    ("pulmonary artery", 850),
];

pub(super) fn list(root: &Path, requested: Option<Modality>) -> Result<DatasetIndex> {
    let exists = |(folder, _): &&(&str, Modality)| root.join(folder).is_dir();
    let available: Vec<Modality> = FOLDERS.iter().filter(exists).map(|(_, modality)| *modality).collect();
    let chosen = choose(root, requested, &available)?;
    let mut index = DatasetIndex {
        name: Some(format!("MM-WHS {}", chosen.name())),
        modality: chosen,
        channels: vec![chosen.name().to_owned()],
        label_schema: LabelSchema::exclusive(CLASSES).map_err(Error::label_schema(root))?,
        cases: Vec::new(),
        test: Vec::new(),
        unlabeled: Vec::new(),
        skipped: Vec::new(),
    };
    if let Some((folder, _)) = FOLDERS.iter().find(|folder| exists(folder) && folder.1 == chosen) {
        find_pairs(&root.join(folder), &mut index)?;
    }
    Ok(index)
}

/// A case for every image and every label map; counterparts that are missing are reported later.
fn find_pairs(folder: &Path, index: &mut DatasetIndex) -> Result<()> {
    let mut ids = Vec::new();
    for path in files_in(folder)? {
        let stem = strip_ending(&path).map(|(stem, _)| stem).unwrap_or_default();
        match stem.strip_suffix("_image").or_else(|| stem.strip_suffix("_label")) {
            Some(id) => ids.push(id.to_owned()),
            None => index.skipped.push(path),
        }
    }
    ids.sort();
    ids.dedup();
    index.cases.extend(ids.into_iter().map(|id| Case {
        images: vec![image_file(folder, &format!("{id}_image"))],
        labels: Some(image_file(folder, &format!("{id}_label"))),
        id,
    }));
    Ok(())
}
