//! MM-WHS 2017 (Zhuang and Shen, Medical Image Analysis 31:77): a folder for each modality, pairs of files in
//! it, and labels that no file explains.

use std::path::Path;

use super::{Case, DatasetIndex, Regions, choose, names, owned, volume};
use crate::Modality;
use crate::Result;

/// Of the labeled cases.
pub(super) const FOLDERS: [(&str, Modality); 2] = [("ct_train", Modality::Ct), ("mr_train", Modality::Mr)];
/// As the data set's description names them, in the order of the paper's descriptions.
const CLASSES: [&str; 7] = [
    "left ventricle",
    "right ventricle",
    "left atrium",
    "right atrium",
    "left ventricular myocardium",
    "ascending aorta",
    "pulmonary artery",
];
const LABELS: [u16; 7] = [500, 600, 420, 550, 205, 820, 850];

pub(super) fn list(root: &Path, wanted: Option<Modality>) -> Result<DatasetIndex> {
    let is_there = |(folder, _): &&(&str, Modality)| root.join(folder).is_dir();
    let held: Vec<Modality> = FOLDERS.iter().filter(is_there).map(|(_, modality)| *modality).collect();
    let chosen = choose(root, wanted, &held)?;
    let folder = FOLDERS.iter().find(|folder| is_there(folder) && folder.1 == chosen);
    let cases = match folder {
        Some((folder, _)) => pairs(&root.join(folder))?,
        None => Vec::new(),
    };
    Ok(DatasetIndex {
        name: Some(format!("MM-WHS {}", chosen.name())),
        modality: chosen,
        channels: vec![chosen.name().to_owned()],
        classes: owned(&CLASSES),
        labels: LABELS.to_vec(),
        regions: Regions::new(),
        cases,
        test: Vec::new(),
    })
}

/// A case for every image and for every label map, so that what lacks the other is told of.
fn pairs(folder: &Path) -> Result<Vec<Case>> {
    let names = names(folder)?;
    let id = |name: &String| {
        let stem = name.trim_end_matches(".gz").strip_suffix(".nii")?;
        let id = stem.strip_suffix("_image").or_else(|| stem.strip_suffix("_label"))?;
        Some(id.to_owned())
    };
    let mut ids: Vec<String> = names.iter().filter_map(id).collect();
    ids.dedup();
    let case = |id: String| Case {
        images: vec![volume(folder, &format!("{id}_image"))],
        labels: Some(volume(folder, &format!("{id}_label"))),
        id,
    };
    Ok(ids.into_iter().map(case).collect())
}
