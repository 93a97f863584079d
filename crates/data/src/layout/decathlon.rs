//! Medical Segmentation Decathlon: a `dataset.json` that lists pairs of files, all channels in one.

use std::path::Path;

use super::{DatasetIndex, Regions, dataset_json::DatasetJson};
use crate::Modality;
use crate::Result;

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let about = DatasetJson::read(&root.join("dataset.json"))?;
    let (classes, labels) = about.single_classes()?;
    let channels = about.channels("modality")?;
    Ok(DatasetIndex {
        name: about.name(),
        modality: Modality::of(&channels),
        channels,
        classes,
        labels,
        regions: Regions::new(),
        cases: about.pairs("training")?,
        test: Vec::new(),
    })
}
