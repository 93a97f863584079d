//! Output paths that must not replace their inputs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

/// The path without symbolic links, as far as it exists.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        let existing = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        if let (Ok(base), Ok(rest)) = (fs::canonicalize(existing), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { base } else { base.join(rest) };
        }
    }
    path.to_owned()
}

/// Checks that writing `out` replaces neither the file `source` nor a file in the folder `source`.
pub(crate) fn ensure_keeps_source(out: &Path, source: &Path) -> Result<()> {
    let [written, read] = [out, source].map(canonical);
    if written == read || (written.starts_with(&read) && written.exists()) {
        bail!("{}: the output would replace its source; choose another --out", out.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("best.safetensors"), "weights").unwrap();
        let best = run.join("best.safetensors");
        assert!(ensure_keeps_source(&best, &best).is_err());
        assert!(ensure_keeps_source(&best, &run).is_err());
        assert!(ensure_keeps_source(&run.join("../run/best.safetensors"), &run).is_err());
        assert!(ensure_keeps_source(&run.join("monai.safetensors"), &run).is_ok());
        assert!(ensure_keeps_source(&folder.path().join("monai.safetensors"), &run).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_equal_through_links_even_where_they_do_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(canonical(&link.join("new/a.nii")), canonical(&real.join("new/a.nii")));
        assert_ne!(canonical(&real.join("a.nii")), canonical(&real.join("b.nii")));
    }
}
