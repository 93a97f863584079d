//! The files of one study: paths of this machine as they are, URLs fetched before and stored after it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl_worker::Failure;
use tempfile::TempDir;

use super::{
    places::{Places, is_url},
    remote::{self, Storage},
};

/// The scan of a study on this machine.
pub(super) struct Inputs {
    pub(super) paths: Vec<PathBuf>,
    /// What was fetched stays as long as this lives.
    _storage: Option<Storage>,
}

impl Inputs {
    /// Fetches what is not here.
    pub(super) fn fetch(places: &Places, scan: &[String]) -> Result<Self, Failure> {
        let mut storage = None;
        let mut paths = Vec::new();
        for text in scan {
            paths.push(if is_url(text) {
                places.ensure_urls_allowed(text).map_err(permanent)?;
                remote::fetch(&mut storage, text)?
            } else {
                places.of_message(text).map_err(permanent)?
            });
        }
        Ok(Self { paths, _storage: storage })
    }
}

/// Where a result is written.
pub(super) enum Output {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder that is stored at a URL.
    Url(TempDir, String),
}

impl Output {
    pub(super) fn open(places: &Places, text: &str) -> Result<Self, Failure> {
        if !is_url(text) {
            return Ok(Self::Folder(places.of_message(text).map_err(permanent)?));
        }
        places.ensure_urls_allowed(text).map_err(permanent)?;
        let folder = tempfile::tempdir().map_err(|error| transient(error.into()))?;
        Ok(Self::Url(folder, text.trim_end_matches('/').to_owned()))
    }

    /// Where files are written first.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Url(folder, _) => folder.path(),
        }
    }

    /// The place of a file, for messages, and what is in it; `None` if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<(String, Option<Vec<u8>>), Failure> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let place = path.display().to_string();
                match fs::read(&path) {
                    Ok(bytes) => Ok((place, Some(bytes))),
                    Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => Ok((place, None)),
                    Err(reason) => Err(Failure::Transient(format!("{place}: {reason}"))),
                }
            }
            Self::Url(_, url) => {
                let url = format!("{url}/{name}");
                let bytes = remote::read(&url)?;
                Ok((url, bytes))
            }
        }
    }

    /// Stores what was written, `last` after all others.
    pub(super) fn store(&self, last: &str) -> Result<(), Failure> {
        let Self::Url(folder, url) = self else { return Ok(()) };
        let mut files = files_below(folder.path()).map_err(transient)?;
        files.sort_by_key(|file| file.as_path() == Path::new(last));
        remote::store(folder.path(), &files, url)
    }
}

/// Paths of all files, relative to the folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| path.display().to_string())?;
            for entry in entries {
                open.push(entry?.path());
            }
        } else {
            found.push(path.strip_prefix(folder)?.to_owned());
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn permanent(error: anyhow::Error) -> Failure {
    Failure::Permanent(format!("{error:#}"))
}

pub(super) fn transient(error: anyhow::Error) -> Failure {
    Failure::Transient(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_result_is_stored_last() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("masks")).unwrap();
        for name in ["s.result.json", "s.nii", "masks/s_liver.nii", "z.csv"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let mut files = files_below(folder.path()).unwrap();
        files.sort_by_key(|file| file.as_path() == Path::new("s.result.json"));
        let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(names, ["masks/s_liver.nii", "s.nii", "z.csv", "s.result.json"]);
    }
}
