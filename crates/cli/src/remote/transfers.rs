//! Fetches the inputs of a command, and stores its outputs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};
use bipvl_imaging::formats::strip_ending;
use bipvl_storage::{Cache, Contents, Storage};

use super::{RemoteArgument, Use, upload::Upload};

/// Transfers of one command.
pub(crate) struct Transfers {
    /// Inputs stay in the cache as long as this lives.
    _storage: Option<Storage>,
    uploads: Vec<Upload>,
}

/// The local path of a URL: an input in the cache, an output in a temporary folder of this process.
pub(super) fn local_path(url: &str, usage: Use) -> Result<PathBuf> {
    let path = Storage::from_env()?.local_path(url)?;
    let name = path.file_name().context("the URL has no name")?;
    Ok(match usage {
        Use::Input => path,
        Use::OutputFile | Use::OutputFolder | Use::Local => output_folder(url).join(name),
    })
}

/// Unlike any other of this process or of another one that runs.
fn output_folder(url: &str) -> PathBuf {
    let name: String = url.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    env::temp_dir().join(format!("bipvl-{}", process::id())).join(name)
}

impl Transfers {
    /// Fetches what is read, and what is in the places that are written.
    pub(crate) fn begin(arguments: Vec<RemoteArgument>) -> Result<Self> {
        if arguments.is_empty() {
            return Ok(Self { _storage: None, uploads: Vec::new() });
        }
        let storage = Storage::from_env()?;
        let mut uploads = Vec::new();
        for RemoteArgument { url, usage, local } in arguments {
            if usage == Use::Input {
                tracing::info!("fetching {url}");
                storage.fetch(&url)?;
                continue;
            }
            let folder = local.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            if usage == Use::OutputFolder {
                storage.copy_folder(&url, folder, Contents::Only(is_read_again))?;
            }
            uploads.push(Upload::start(url, local)?);
        }
        Ok(Self { _storage: Some(storage), uploads })
    }

    /// Stores the rest of the outputs.
    pub(crate) fn finish(self) -> Result<()> {
        let outcomes: Vec<Result<()>> = self.uploads.into_iter().map(Upload::finish).collect();
        outcomes.into_iter().collect()
    }
}

/// Of a label map in the place of the output only the name matters: whether it is there.
fn is_read_again(path: &Path) -> bool {
    strip_ending(path).is_none()
}

/// A cache with nothing in it, for storage that only stores.
pub(super) fn storage_without_cache() -> Result<Storage> {
    Ok(Storage::new(Cache::new(env::temp_dir(), u64::MAX))?)
}
