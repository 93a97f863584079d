//! ACDC (Bernard et al., IEEE TMI 37:2514): a folder for each patient; `Info.cfg` says which two frames of the
//! beating heart, end-diastole and end-systole, have labels.

use std::{fs, path::Path};

use super::{Case, DatasetIndex, Regions, names, owned, volume};
use crate::Modality;
use crate::{Error, Result};

/// The folder of the patients to train on.
pub(super) const TRAINING: &str = "training";
/// The folder of the patients to test on; the first release had no labels there.
const TESTING: &str = "testing";
/// In the order of the labels 1, 2, 3.
const CLASSES: [&str; 3] = ["right ventricle", "left ventricular myocardium", "left ventricle"];
const LABELS: [u16; 3] = [1, 2, 3];

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let testing = root.join(TESTING);
    let mut test = if testing.is_dir() { cases(&testing)? } else { Vec::new() };
    test.retain(|case| case.labels.as_ref().is_some_and(|labels| labels.is_file()));
    Ok(DatasetIndex {
        name: Some("ACDC".to_owned()),
        modality: Modality::Mr,
        channels: owned(&["cine MR"]),
        classes: owned(&CLASSES),
        labels: LABELS.to_vec(),
        regions: Regions::new(),
        cases: cases(&root.join(TRAINING))?,
        test,
    })
}

/// Both labeled frames of every patient.
fn cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for patient in names(folder)?.into_iter().filter(|name| folder.join(name).is_dir()) {
        let own = folder.join(&patient);
        for frame in frames(&own.join("Info.cfg"))? {
            let id = format!("{patient}_frame{frame:02}");
            let labels = Some(volume(&own, &format!("{id}_gt")));
            cases.push(Case { images: vec![volume(&own, &id)], labels, id });
        }
    }
    Ok(cases)
}

/// The numbers of the frames at end-diastole and end-systole.
fn frames(info: &Path) -> Result<[u32; 2]> {
    let text = fs::read_to_string(info).map_err(|source| Error::io(info, source))?;
    let frame = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
        let value = pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
        let number = value.and_then(|value| value.parse().ok());
        number.ok_or_else(|| {
            Error::content(info, format!("the number of a frame as \"{key}\""), value.unwrap_or("none"))
        })
    };
    Ok([frame("ED")?, frame("ES")?])
}
