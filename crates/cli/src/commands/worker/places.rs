//! Paths in messages: absolute, or below a folder that each machine mounts where it likes.

use std::path::{Component, Path, PathBuf, absolute};

use anyhow::{Context, Result, bail};

use crate::paths::canonical;

/// Whether a place is that of an object store or a web server.
pub(crate) fn is_url(place: &str) -> bool {
    place.contains("://")
}

/// How paths of messages are read and written.
#[derive(Debug)]
pub(crate) struct Places {
    root: Option<PathBuf>,
}

impl Places {
    /// With the folder of `--root`.
    pub(crate) fn new(root: Option<&Path>) -> Result<Self> {
        let root = root.map(|root| root.canonicalize().with_context(|| root.display().to_string()));
        Ok(Self { root: root.transpose()? })
    }

    /// A path of this machine as a message has it; URLs are the same everywhere.
    pub(crate) fn to_message(&self, path: &Path) -> Result<String> {
        if let Some(url) = path.to_str().filter(|text| is_url(text)) {
            return Ok(url.to_owned());
        }
        let path = match &self.root {
            None => absolute(path).with_context(|| path.display().to_string())?,
            Some(root) => match canonical(path).strip_prefix(root) {
                Ok(below) => below.to_owned(),
                Err(_) => bail!("{}: not below --root {}", path.display(), root.display()),
            },
        };
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("{}: messages hold paths of Unicode text alone", path.display()))
    }

    /// With a root, a study names nothing outside.
    pub(crate) fn ensure_urls_allowed(&self, url: &str) -> Result<()> {
        match &self.root {
            Some(_) => bail!("{url}: a URL, but this worker has a --root"),
            None => Ok(()),
        }
    }

    /// The path of a message on this machine.
    pub(crate) fn of_message(&self, text: &str) -> Result<PathBuf> {
        let path = Path::new(text);
        let Some(root) = &self.root else {
            if path.is_absolute() {
                return Ok(path.to_owned());
            }
            bail!("{text}: a path below a --root, but this worker has none");
        };
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let place = root.join(path);
        // A link may lead out of the folder.
        if !is_plain || !canonical(&place).starts_with(root) {
            bail!("{text}: not below the --root of this worker");
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_root_paths_are_absolute() {
        let places = Places::new(None).unwrap();
        let text = places.to_message(Path::new("scans/a.nii")).unwrap();
        assert!(Path::new(&text).is_absolute() && text.ends_with("scans/a.nii"));
        assert_eq!(places.of_message(&text).unwrap(), Path::new(&text));
        assert!(places.of_message("scans/a.nii").unwrap_err().to_string().contains("--root"));
        let url = "s3://bucket/a.nii";
        assert_eq!(places.to_message(Path::new(url)).unwrap(), url);
        places.ensure_urls_allowed(url).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn with_a_root_nothing_outside_can_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("scans")).unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("link")).unwrap();
        let places = Places::new(Some(&root)).unwrap();
        assert_eq!(places.to_message(&root.join("scans/a.nii")).unwrap(), "scans/a.nii");
        assert!(places.to_message(folder.path()).unwrap_err().to_string().contains("not below --root"));
        assert!(places.ensure_urls_allowed("s3://bucket/a.nii").is_err());
        assert!(places.of_message("scans/a.nii").unwrap().ends_with("root/scans/a.nii"));
        for outside in ["../a.nii", "scans/../../a.nii", "/etc/passwd", "link/a.nii"] {
            let error = places.of_message(outside).unwrap_err().to_string();
            assert!(error.contains("not below the --root"), "{outside}: {error}");
        }
    }
}
