//! ACDC (Bernard et al., IEEE TMI 37:2514): a folder per patient; `Info.cfg` names the two labeled frames, end-diastole
//! and end-systole.

use std::{fs, path::Path};

use bipvl_imaging::LabelSchema;

use super::{Case, DatasetIndex, folders, image_file, owned};
use crate::{Error, Modality, Result};

/// The folder of the training patients.
pub(super) const TRAINING: &str = "training";
/// The folder of the test patients; in the first release they have no labels.
const TESTING: &str = "testing";
const CLASSES: [(&str, u16); 3] =
    [("right ventricle", 1), ("left ventricular myocardium", 2), ("left ventricle", 3)];

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let testing = root.join(TESTING);
    let mut test = if testing.is_dir() { cases(&testing)? } else { Vec::new() };
    test.retain(|case| case.labels.as_ref().is_some_and(|labels| labels.is_file()));
    Ok(DatasetIndex {
        name: Some("ACDC".to_owned()),
        modality: Modality::Mr,
        channels: owned(&["cine MR"]),
        label_schema: LabelSchema::exclusive(CLASSES).map_err(Error::label_schema(root))?,
        cases: cases(&root.join(TRAINING))?,
        test,
        unlabeled: Vec::new(),
        skipped: Vec::new(),
    })
}

/// Both labeled frames of every patient.
fn cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for patient in folders(folder)? {
        let own = folder.join(&patient);
        for frame in frames(&own.join("Info.cfg"))? {
            let id = format!("{patient}_frame{frame:02}");
            let labels = Some(image_file(&own, &format!("{id}_gt")));
            cases.push(Case { images: vec![image_file(&own, &id)], labels, id });
        }
    }
    Ok(cases)
}

/// The numbers of the end-diastolic and the end-systolic frame.
fn frames(info: &Path) -> Result<[u32; 2]> {
    let text = fs::read_to_string(info).map_err(|source| Error::io(info, source))?;
    let frame = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
        let value = pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
        let value = value.ok_or_else(|| Error::MissingKey { path: info.to_owned(), key: key.to_owned() })?;
        value.parse().map_err(|_| Error::invalid_value(info, key, "the number of a frame", value))
    };
    Ok([frame("ED")?, frame("ES")?])
}
