//! nnU-Net version 2: `labelsTr/ID.ending` and, for each channel, `imagesTr/ID_0000.ending`.

use std::path::Path;

use super::{Case, DatasetIndex, dataset_json::DatasetJson, names};
use crate::Result;
use crate::{Modality, classes::Classes};

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let about = DatasetJson::read(&root.join("dataset.json"))?;
    let Classes { names: classes, labels, regions } = about.classes()?;
    let channels = about.channels("channel_names")?;
    let ending = about.text("file_ending")?;
    let (images, references) = (root.join("imagesTr"), root.join("labelsTr"));
    let case = |name: &String| {
        let id = name.strip_suffix(ending)?;
        let channel = |channel: usize| images.join(format!("{id}_{channel:04}{ending}"));
        Some(Case {
            id: id.to_owned(),
            images: (0..channels.len()).map(channel).collect(),
            labels: Some(references.join(name)),
        })
    };
    let cases = names(&references)?.iter().filter_map(case).collect();
    let (name, modality) = (about.name(), Modality::of(&channels));
    Ok(DatasetIndex { name, modality, channels, classes, labels, regions, cases, test: Vec::new() })
}
