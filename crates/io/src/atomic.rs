//! Atomic writes: a temporary file in the same directory, then a rename.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::FileError;

/// Writes `bytes` to `path` atomically: readers see the old file or the new one, and a failure leaves the old one.
///
/// # Errors
///
/// When the directory does not exist or cannot be written to, or the disk is full.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// [`atomic_write`] of what `write` writes.
///
/// # Errors
///
/// As [`atomic_write`], and those of `write`.
pub fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut files = FileTransaction::default();
    files.stage_with(path, write)?;
    files.commit()
}

/// Files that appear together: each is written beside its place, and [`commit`](Self::commit) moves all of them there.
/// Dropped without it, no file appears.
#[derive(Debug, Default)]
pub struct FileTransaction {
    staged: Vec<(TempPath, PathBuf)>,
}

impl FileTransaction {
    /// Writes `bytes` for `path`.
    ///
    /// # Errors
    ///
    /// As [`atomic_write`].
    pub fn stage(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        self.stage_with(path, |file| file.write_all(bytes))
    }

    /// [`Self::stage`] of what `write` writes.
    ///
    /// # Errors
    ///
    /// As [`atomic_write_with`].
    pub fn stage_with(
        &mut self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let about = |reason| FileError::new(path, reason);
        let mut temporary = temporary_beside(path)?;
        let mut file = BufWriter::new(temporary.as_file_mut());
        write(&mut file).and_then(|()| file.flush()).map_err(about)?;
        drop(file);
        temporary.as_file().sync_data().map_err(about)?;
        // A closed file: a transaction may have more files than a process may open.
        self.staged.push((temporary.into_temp_path(), path.to_owned()));
        Ok(())
    }

    /// Moves the files to their places, in the order in which they were staged.
    ///
    /// # Errors
    ///
    /// When a file cannot be moved, such as over a folder. Files that did not exist before are removed again; those
    /// that have been replaced stay.
    pub fn commit(self) -> Result<(), FileError> {
        let mut created: Vec<PathBuf> = Vec::new();
        for (temporary, path) in self.staged {
            let is_new = !path.exists();
            if let Err(error) = temporary.persist(&path) {
                for path in created {
                    // The first failure is the one to report.
                    let _ = fs::remove_file(path);
                }
                return Err(FileError::new(&path, error.error));
            }
            if is_new {
                created.push(path);
            }
        }
        Ok(())
    }
}

/// Checks before a long computation that [`atomic_write`] can write `path`: its folder exists and is writable.
///
/// # Errors
///
/// If the folder does not exist or cannot be written to, or `path` is a folder.
pub fn ensure_writable(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        let reason = io::Error::new(io::ErrorKind::IsADirectory, "is a directory");
        return Err(FileError::new(path, reason));
    }
    temporary_beside(path).map(drop)
}

/// A temporary file in the folder of `path`, deleted when dropped.
fn temporary_beside(path: &Path) -> Result<NamedTempFile, FileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let missing = format!("directory {} does not exist", folder.display());
        return Err(FileError::new(path, io::Error::new(io::ErrorKind::NotFound, missing)));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, subject to the umask; the default of `tempfile` is 0600.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(|reason| FileError::new(path, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writable_path_is_in_an_existing_folder_and_no_folder_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.json");
        ensure_writable(&path).unwrap();
        fs::write(&path, "old").unwrap();
        ensure_writable(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = ensure_writable(&folder.path().join("nowhere/scores.json")).unwrap_err();
        assert!(missing.to_string().contains("does not exist"), "{missing}");
        assert!(ensure_writable(folder.path()).unwrap_err().to_string().contains("is a directory"));
    }

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        atomic_write(&path, b"old").unwrap();
        atomic_write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        atomic_write(&path, b"old").unwrap();
        let error = atomic_write_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("interrupted"))
        });
        assert_eq!(error.unwrap_err().to_string(), format!("{}: interrupted", path.display()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn staged_files_appear_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, taken] = ["a.txt", "b.txt", "folder"].map(|name| folder.path().join(name));
        let mut files = FileTransaction::default();
        files.stage(&a, b"a").unwrap();
        files.stage(&b, b"b").unwrap();
        assert!(!a.exists() && !b.exists());
        files.commit().unwrap();
        assert_eq!([&a, &b].map(|path| fs::read(path).unwrap()), [b"a", b"b"]);

        fs::remove_file(&a).unwrap();
        fs::create_dir(&taken).unwrap();
        let mut files = FileTransaction::default();
        for path in [&a, &taken, &b] {
            files.stage(path, b"new").unwrap();
        }
        let error = files.commit().unwrap_err();
        assert!(error.to_string().starts_with(&taken.display().to_string()), "{error}");
        assert_eq!(fs::read(&b).unwrap(), b"b");
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, ["b.txt", "folder"]);

        let mut files = FileTransaction::default();
        files.stage(&a, b"a").unwrap();
        drop(files);
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(&folder.path().join("no/a.txt"), b"").unwrap_err();
        assert_eq!(error.reason.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no does not exist"), "{error}");
    }
}
