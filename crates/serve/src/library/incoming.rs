//! Where uploads wait until they are known to be scans.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use bipvl_imaging::formats::strip_ending;
use bipvl_io::FileError;
use tempfile::TempDir;

use super::{Library, scan::safe_name};
use crate::Result;

/// A folder that is deleted with this value.
pub(crate) struct Incoming {
    folder: TempDir,
    files: Vec<PathBuf>,
}

impl Library {
    /// A folder for the files of one upload.
    pub(crate) fn incoming(&self) -> Result<Incoming> {
        let uploads = self.state("uploads");
        let folder = tempfile::tempdir_in(&uploads).map_err(|reason| FileError::new(&uploads, reason))?;
        Ok(Incoming { folder, files: Vec::new() })
    }
}

impl Incoming {
    /// The path for the next file, whose name is made safe; each has a folder of its own, so that names may repeat.
    pub(crate) fn next_path(&mut self, name: &str) -> Result<PathBuf> {
        let name = safe_name(Path::new(name).file_name().unwrap_or_default().to_string_lossy().as_ref());
        let folder = self.folder.path().join(self.files.len().to_string());
        fs::create_dir(&folder).map_err(|reason| FileError::new(&folder, reason))?;
        let path = folder.join(name);
        self.files.push(path.clone());
        Ok(path)
    }

    /// The files that came.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A path in `folder` whose name no other scan has, whatever its ending: `NAME`, else `NAME-2` and so on.
pub(crate) fn free_path(folder: &Path, stem: &str, ending: &str) -> PathBuf {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let taken: HashSet<String> = entries
        .flat_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let stem = strip_ending(&entry.path()).map(|(stem, _)| safe_name(&stem));
            [Some(name), stem].into_iter().flatten()
        })
        .collect();
    let names = std::iter::once(stem.to_owned()).chain((2..).map(|number| format!("{stem}-{number}")));
    let free =
        names.into_iter().find(|name| !taken.contains(name) && !taken.contains(&format!("{name}{ending}")));
    folder.join(format!("{}{ending}", free.expect("numbers do not end")))
}

/// Moves a file or folder within the data folder.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    Ok(fs::rename(from, to).map_err(|reason| FileError::new(to, reason))?)
}
