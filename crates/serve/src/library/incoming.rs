//! Where uploads wait until they are known to be scans.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    /// The path for the next file; its name is made safe, and repeated names get numbers.
    pub(crate) fn next_path(&mut self, name: &str) -> PathBuf {
        let name = safe_name(Path::new(name).file_name().unwrap_or_default().to_string_lossy().as_ref());
        let mut path = self.folder.path().join(&name);
        if self.files.contains(&path) {
            path = self.folder.path().join(format!("{}-{name}", self.files.len()));
        }
        self.files.push(path.clone());
        path
    }

    /// The files that came.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A path in `folder` that does not exist: `NAME`, else `NAME-2` and so on before the ending.
pub(crate) fn free_path(folder: &Path, stem: &str, ending: &str) -> PathBuf {
    let candidates = (1..).map(|number| match number {
        1 => folder.join(format!("{stem}{ending}")),
        number => folder.join(format!("{stem}-{number}{ending}")),
    });
    candidates.into_iter().find(|path| !path.exists()).expect("numbers do not end")
}

/// Moves a file or folder within the data folder.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    Ok(fs::rename(from, to).map_err(|reason| FileError::new(to, reason))?)
}
