//! nnU-Net version 2: `labelsTr/ID.ending` and, for each channel, `imagesTr/ID_0000.ending`, or the files under the
//! key `dataset`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    super::case_files::{files_in, split_channel},
    Case, DatasetIndex,
    dataset_json::DatasetJson,
};
use crate::{Error, Modality, Result};

pub(super) fn list(root: &Path) -> Result<DatasetIndex> {
    let path = root.join("dataset.json");
    let manifest = DatasetJson::read(&path)?;
    let channels = manifest.channels("channel_names")?;
    let mut index = DatasetIndex {
        name: manifest.name(),
        modality: Modality::from_channels(&channels),
        channels,
        label_schema: manifest.label_schema()?,
        cases: Vec::new(),
        test: Vec::new(),
        unlabeled: Vec::new(),
        skipped: Vec::new(),
    };
    if manifest.has("dataset") {
        index.cases = manifest.listed_cases()?;
        return Ok(index);
    }
    let ending = manifest.text("file_ending")?;
    if !ending.starts_with('.') {
        let expected = "a file ending with its dot, such as \".nii.gz\"";
        return Err(Error::invalid_value(&path, "file_ending", expected, format!("{ending:?}")));
    }
    find_cases(root, ending, &mut index)?;
    Ok(index)
}

/// Pairs label maps with the images of their channels.
fn find_cases(root: &Path, ending: &str, index: &mut DatasetIndex) -> Result<()> {
    let images_folder = root.join("imagesTr");
    let references = with_ending(&root.join("labelsTr"), ending, &mut index.skipped)?;
    let images = if images_folder.is_dir() {
        with_ending(&images_folder, ending, &mut index.skipped)?
    } else {
        BTreeMap::new()
    };
    let mut used = BTreeSet::new();
    for (id, labels) in references {
        let mut channel = |channel: usize| {
            let stem = format!("{id}_{channel:04}");
            let found = images.get(&stem).cloned();
            used.insert(stem.clone());
            found.unwrap_or_else(|| images_folder.join(format!("{stem}{ending}")))
        };
        let images = (0..index.channels.len()).map(&mut channel).collect();
        index.cases.push(Case { id, images, labels: Some(labels) });
    }
    let is_labeled =
        |stem: &str| split_channel(stem).is_some_and(|(id, _)| index.cases.iter().any(|case| case.id == id));
    for (stem, path) in images.into_iter().filter(|(stem, _)| !used.contains(stem)) {
        // A further channel of a labeled case is not needed; an image of no labeled case may be a mistake.
        if is_labeled(&stem) { index.skipped.push(path) } else { index.unlabeled.push(path) }
    }
    Ok(())
}

/// The files in a folder with an ending in any case, by their names without it; others go to `skipped`.
fn with_ending(folder: &Path, ending: &str, skipped: &mut Vec<PathBuf>) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for path in files_in(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let stem = name.and_then(|name| {
            let at = name.len().checked_sub(ending.len())?;
            let is_match = name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(ending);
            is_match.then(|| name[..at].to_owned())
        });
        match stem {
            Some(stem) if !files.contains_key(&stem) => {
                files.insert(stem, path);
            }
            Some(id) => return Err(Error::DuplicateCase { path, id }),
            None => skipped.push(path),
        }
    }
    Ok(files)
}
