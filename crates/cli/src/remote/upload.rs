//! Stores what a command writes: files that have changed, every half minute and at the end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use bipvl_storage::Storage;

/// Between two looks for changes: what a machine that is lost takes with it.
const INTERVAL: Duration = Duration::from_secs(30);
/// Of a run folder only this machine needs these.
const NOT_STORED: [&str; 2] = ["cache", "lock"];

/// A local file or folder, and the URL where it is stored.
pub(super) struct Upload {
    stop: Sender<()>,
    thread: JoinHandle<Uploaded>,
}

/// What was stored of a path already.
struct Uploaded {
    storage: Storage,
    url: String,
    path: PathBuf,
    versions: BTreeMap<PathBuf, (SystemTime, u64)>,
    has_stored: bool,
}

impl Upload {
    /// Stores `path` at `url` from now on. What is there already came from there.
    pub(super) fn start(url: String, path: PathBuf) -> Result<Self> {
        let storage = super::transfers::storage_without_cache()?;
        let versions = files(&path)?;
        let mut stored = Uploaded { storage, url, path, versions, has_stored: false };
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = stored.store_changed() {
                    tracing::warn!("{}: not stored yet, trying again: {error:#}", stored.url);
                }
            }
            stored
        });
        Ok(Self { stop, thread })
    }

    /// Stores the rest, and removes the local files.
    ///
    /// # Errors
    ///
    /// When something could not be stored; the local files stay then, and the error says where.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.stop);
        let mut stored =
            self.thread.join().map_err(|_| anyhow::anyhow!("the thread that stores has ended"))?;
        let (url, path) = (stored.url.clone(), stored.path.clone());
        let result = stored.store_changed();
        result
            .with_context(|| format!("{url}: not all is stored; what is missing is in {}", path.display()))?;
        if stored.has_stored {
            tracing::info!("stored {url}");
        }
        let folder = path.parent().unwrap_or(&path);
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        // Succeeds with the last output of this process.
        let _ = folder.parent().map(fs::remove_dir);
        Ok(())
    }
}

impl Uploaded {
    /// Stores what has changed, and removes what is gone.
    fn store_changed(&mut self) -> Result<()> {
        let files = files(&self.path)?;
        let gone = self.versions.keys().filter(|file| !files.contains_key(*file)).cloned();
        for file in gone.collect::<Vec<_>>() {
            self.storage.remove_below(&self.url, self.relative(&file))?;
            self.versions.remove(&file);
        }
        for (file, version) in files {
            if self.versions.get(&file) != Some(&version) {
                self.storage.store_below(&file, &self.url, self.relative(&file))?;
                self.versions.insert(file, version);
                self.has_stored = true;
            }
        }
        Ok(())
    }

    /// The path below the URL; none for a single file.
    fn relative<'a>(&self, file: &'a Path) -> &'a Path {
        file.strip_prefix(&self.path).unwrap_or(Path::new(""))
    }
}

/// The files at a path with their versions, without those of [`NOT_STORED`] and unfinished ones.
fn files(path: &Path) -> Result<BTreeMap<PathBuf, (SystemTime, u64)>> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        // A temporary file may be gone by now.
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.is_file() {
            found.insert(path, (about.modified()?, about.len()));
            continue;
        }
        let entries = fs::read_dir(&path).with_context(|| path.display().to_string())?;
        for entry in entries {
            let entry = entry.with_context(|| path.display().to_string())?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with('.') && !NOT_STORED.contains(&&*name) {
                open.push(entry.path());
            }
        }
    }
    Ok(found)
}
