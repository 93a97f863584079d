//! The output folder of the demo, which only the demo may overwrite.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// Marks a folder as made by the demo.
const MARKER: &str = ".bipvl-demo";

/// Creates the folder, or empties that of an earlier demo.
///
/// # Errors
///
/// When the folder has contents that are not those of a demo.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    let context = || folder.display().to_string();
    fs::create_dir_all(folder).with_context(context)?;
    let is_demo = folder.join(MARKER).is_file();
    let entries =
        fs::read_dir(folder).with_context(context)?.collect::<Result<Vec<_>, _>>().with_context(context)?;
    if !is_demo && !entries.is_empty() {
        bail!("{}: the folder is not empty and was not made by `bipvl demo`", folder.display());
    }
    for path in entries.into_iter().map(|entry| entry.path()).filter(|path| !path.ends_with(MARKER)) {
        let is_folder = path.is_dir() && !path.is_symlink();
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| path.display().to_string())?;
    }
    fs::write(folder.join(MARKER), "Made by `bipvl demo`, which replaces the contents of this folder.\n")
        .with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_or_that_of_a_demo_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("new/demo");
        prepare(&demo).unwrap();
        fs::create_dir(demo.join("run")).unwrap();
        fs::write(demo.join("scores.json"), "{}").unwrap();
        prepare(&demo).unwrap();
        assert_eq!(fs::read_dir(&demo).unwrap().count(), 1);

        let other = folder.path().join("project");
        fs::create_dir_all(other.join("run")).unwrap();
        fs::write(other.join("run/best.safetensors"), "precious").unwrap();
        let message = prepare(&other).unwrap_err().to_string();
        assert!(message.contains("project") && message.contains("not made by `bipvl demo`"), "{message}");
        assert_eq!(fs::read(other.join("run/best.safetensors")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    }
}
