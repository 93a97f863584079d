//! Medical Segmentation Decathlon: a `dataset.json` that lists pairs of files, all channels in one.

use std::path::Path;

use super::{DatasetIndex, dataset_json::DatasetJson};
use crate::{Modality, Result};

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let manifest = DatasetJson::read(&root.join("dataset.json"))?;
    let channels = manifest.channels("modality")?;
    Ok(DatasetIndex {
        name: manifest.name(),
        modality: Modality::from_channels(&channels),
        channels,
        label_schema: manifest.label_schema()?,
        cases: manifest.pairs("training")?,
        test: Vec::new(),
        unlabeled: Vec::new(),
        skipped: Vec::new(),
    })
}
