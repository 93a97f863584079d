//! Medical Segmentation Decathlon: a `dataset.json` that lists pairs of files, all channels in one.

use std::path::Path;

use super::{Listing, Regions, dataset_json::DatasetJson};
use crate::Modality;
use bipvl_imaging::Result;

pub(super) fn list(root: &Path) -> Result<Listing> {
    let about = DatasetJson::read(&root.join("dataset.json"))?;
    let (classes, labels) = about.single_classes()?;
    let channels = about.channels("modality")?;
    Ok(Listing {
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
