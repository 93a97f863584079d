//! The label schema that a file defines, without looking for cases.

use std::{fs, path::Path};

use bipvl_imaging::LabelSchema;
use serde::Deserialize;

use super::layout::DatasetJson;
use crate::{Error, Result};

/// The part of a configuration that defines classes.
#[derive(Deserialize)]
struct Configuration {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    label_schema: LabelSchema,
}

/// Reads the label schema of a `dataset.json` of any name, or, from a file that ends in `.toml`, of a configuration
/// that defines one (`data.label_schema`), such as that of a run.
///
/// # Errors
///
/// When the file cannot be read or defines no valid schema.
pub fn read_label_schema(path: &Path) -> Result<LabelSchema> {
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        return DatasetJson::read(path)?.label_schema();
    }
    let text = fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
    let reason = |error: toml::de::Error| error.to_string().trim().replace('\n', " ");
    let configuration: Configuration = toml::from_str(&text).map_err(|error| Error::Syntax {
        path: path.to_owned(),
        syntax: "configuration with data.label_schema",
        reason: reason(error),
    })?;
    Ok(configuration.data.label_schema)
}
