//! Whole files or none: a temporary name first, then a rename.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::FileError;

/// Writes a file under a temporary name in the same folder and renames it when it is complete, so that no
/// reader sees half a file and a failure leaves what stood there before.
///
/// # Errors
///
/// When the folder cannot be written to or the disk is full.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// The same for a file that is written piece by piece.
///
/// # Errors
///
/// As [`atomic_write`].
pub fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let about = |reason| FileError::new(path, reason);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let missing = format!("directory {} does not exist", folder.display());
        return Err(about(io::Error::new(io::ErrorKind::NotFound, missing)));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".partial-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: readable for all whom the process's mask allows.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(folder).map_err(about)?;
    let mut file = BufWriter::new(temporary.as_file_mut());
    write(&mut file).and_then(|()| file.flush()).map_err(about)?;
    drop(file);
    temporary.as_file().sync_data().map_err(about)?;
    temporary.persist(path).map_err(|error| about(error.error))?;
    Ok(())
}
