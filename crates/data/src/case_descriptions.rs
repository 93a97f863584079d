//! Where a single case says of its classes what the data set does not: `descriptionsTr/CASE.toml` beside
//! `imagesTr`, and so for any folder whose name begins with `images`.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use super::Case;
use crate::{Error, Result};

const IMAGES: &str = "images";
const DESCRIPTIONS: &str = "descriptions";
const EXTENSION: &str = "toml";

/// The file with the case's own descriptions, if there is one; `image` is one of the case's files.
pub fn case_descriptions_path(image: &Path, id: &str) -> Option<PathBuf> {
    let image = absolute(image).ok()?;
    let folder = image.parent()?;
    let part = folder.file_name()?.to_str()?.strip_prefix(IMAGES)?;
    let file = folder.with_file_name(format!("{DESCRIPTIONS}{part}")).join(format!("{id}.{EXTENSION}"));
    file.is_file().then_some(file)
}

impl Case {
    /// The file with the case's own descriptions, if there is one.
    pub fn descriptions_path(&self) -> Option<PathBuf> {
        case_descriptions_path(self.images.first()?, &self.id)
    }
}

/// Whether every file of descriptions belongs to a case; one that does not would be overlooked.
pub(super) fn check(root: &Path, cases: &[Case]) -> Result<()> {
    let folder = root.join(format!("{DESCRIPTIONS}Tr"));
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&folder).map_err(|source| Error::io(&folder, source))? {
        let file = entry.map_err(|source| Error::io(&folder, source))?.path();
        let id = file.file_stem().unwrap_or_default().to_string_lossy();
        let is_toml = file.extension().is_some_and(|extension| extension == EXTENSION);
        if is_toml && !id.starts_with('.') && cases.iter().all(|case| case.id != id) {
            return Err(Error::content(&file, "descriptions named after a case", format!("no case {id}")));
        }
    }
    Ok(())
}
