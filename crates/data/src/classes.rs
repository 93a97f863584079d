//! The classes that a file names and the labels they are scored by.

use std::{fs, path::Path};

use bipvl_metrics::ClassLabels;
use serde::Deserialize;

use super::{layout::DatasetJson, regions::Regions};
use crate::{Error, Result};

/// The part of a configuration that names classes.
#[derive(Deserialize)]
struct Configuration {
    data: Classes,
}

/// Classes of one label each, or regions.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Classes {
    /// In the order of the labels or of the regions.
    #[serde(rename = "classes")]
    pub(super) names: Vec<String>,
    /// Every label but the background's.
    pub(super) labels: Vec<u16>,
    /// The labels of each class where classes overlap, else none.
    pub(super) regions: Regions,
}

/// The classes of a `dataset.json` of any name, or, by the ending `.toml`, of the configuration of a run or the
/// regions of a user's; in the order of their labels or of the regions. No case is looked for.
///
/// # Errors
///
/// When the file cannot be read, its labels are malformed, or it names no classes.
pub fn read_classes(path: &Path) -> Result<Vec<ClassLabels>> {
    let is_config = path.extension().is_some_and(|extension| extension == "toml");
    let Classes { names, labels, regions } =
        if is_config { of_configuration(path)? } else { DatasetJson::read(path)?.classes()? };
    let named = |(name, labels)| ClassLabels { name, labels };
    if regions.is_empty() {
        return Ok(names.into_iter().zip(labels.chunks(1).map(<[u16]>::to_vec)).map(named).collect());
    }
    Ok(regions.into_iter().map(named).collect())
}

fn of_configuration(path: &Path) -> Result<Classes> {
    const EXPECTED: &str = "data.regions, or data.classes with a label for each in data.labels";
    let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
    let Configuration { data } = toml::from_str(&text)
        .map_err(|error| Error::content(path, EXPECTED, error.to_string().trim().replace('\n', " ")))?;
    if data.regions.is_empty() && (data.names.is_empty() || data.names.len() != data.labels.len()) {
        let found = format!("the classes {:?} with {:?}", data.names, data.labels);
        return Err(Error::content(path, EXPECTED, found));
    }
    Ok(data)
}
