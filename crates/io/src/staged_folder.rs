//! A folder that appears whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::FileError;

/// A folder that is filled beside its place and moved there by [`commit`](Self::commit); dropped, it is removed.
#[derive(Debug)]
pub struct StagedFolder {
    folder: TempDir,
    target: PathBuf,
}

impl StagedFolder {
    /// A folder that will be at `target`, which must be free or an empty folder. Folders above it are made.
    ///
    /// # Errors
    ///
    /// When folders cannot be made there.
    pub fn new(target: &Path) -> Result<Self, FileError> {
        let about = |reason| FileError::new(target, reason);
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(about)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".partial");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The umask takes away what others must not have.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        // The name of the temporary folder would say nothing.
        let folder = builder.tempdir_in(parent).map_err(|reason| about(reason.kind().into()))?;
        Ok(Self { folder, target: target.to_owned() })
    }

    /// Where it is filled.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves the folder to its place.
    ///
    /// # Errors
    ///
    /// When something is there by now.
    pub fn commit(self) -> Result<(), FileError> {
        fs::rename(self.folder.path(), &self.target)
            .map_err(|reason| FileError::new(&self.target, reason))?;
        let _ = self.folder.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/set");
        let staged = StagedFolder::new(&target).unwrap();
        fs::write(staged.path().join("file"), "text").unwrap();
        drop(staged);
        assert!(names(&root.path().join("a")).is_empty());

        fs::create_dir(&target).unwrap();
        let staged = StagedFolder::new(&target).unwrap();
        fs::write(staged.path().join("file"), "text").unwrap();
        assert!(names(&target).is_empty());
        staged.commit().unwrap();
        assert_eq!(
            (names(&target), names(&root.path().join("a"))),
            (vec!["file".to_owned()], vec!["set".to_owned()])
        );

        let staged = StagedFolder::new(&target).unwrap();
        fs::write(staged.path().join("other"), "text").unwrap();
        assert!(staged.commit().unwrap_err().to_string().contains("set"));
        assert_eq!(names(&root.path().join("a")), ["set"]);
    }
}
