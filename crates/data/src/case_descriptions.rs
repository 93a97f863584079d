//! Descriptions of single cases: `descriptionsTr/CASE.toml` beside `imagesTr`, and so for any folder whose name begins
//! with `images`.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use super::Case;
use crate::{Error, Result};

const IMAGES: &str = "images";
const DESCRIPTIONS: &str = "descriptions";
const EXTENSION: &str = "toml";

/// The file with descriptions of one case, if it exists; `image` is one of the case's files.
pub fn case_descriptions_path(image: &Path, id: &str) -> Option<PathBuf> {
    let image = absolute(image).ok()?;
    let folder = image.parent()?;
    let suffix = folder.file_name()?.to_str()?.strip_prefix(IMAGES)?;
    let file = folder.with_file_name(format!("{DESCRIPTIONS}{suffix}")).join(format!("{id}.{EXTENSION}"));
    file.is_file().then_some(file)
}

impl Case {
    /// The file with descriptions of this case, if it exists.
    pub fn descriptions_path(&self) -> Option<PathBuf> {
        case_descriptions_path(self.images.first()?, &self.id)
    }
}

/// Checks that every file of descriptions belongs to a case: a misnamed one would be ignored.
pub(super) fn check(root: &Path, cases: &[Case]) -> Result<()> {
    let folder = root.join(format!("{DESCRIPTIONS}Tr"));
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&folder).map_err(|source| Error::io(&folder, source))? {
        let path = entry.map_err(|source| Error::io(&folder, source))?.path();
        let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_toml = path.extension().is_some_and(|extension| extension == EXTENSION);
        if is_toml && !id.starts_with('.') && cases.iter().all(|case| case.id != id) {
            return Err(Error::UnmatchedDescriptions { path, id });
        }
    }
    Ok(())
}
