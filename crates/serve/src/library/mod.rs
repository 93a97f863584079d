//! The scans of the server: files and DICOM studies in one folder.
//!
//! ```text
//! DATA/NAME.nii.gz              a scan; also .nii, .nrrd, .mha and so on
//! DATA/STUDY/ or DATA/STUDY.zip a DICOM study, a scan per volume
//! DATA/labels/TAG/ID.nii.gz     saved labels, with ID.json for the names of their values, as in MONAI Label
//! DATA/.bipvl/                  jobs, results, cached pictures
//! ```
//!
//! A request names a scan by its id, which is looked up in the list of what is there and is never made into a path.

mod incoming;
mod labels;
mod picture;
mod scan;
mod upload;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use bipvl_io::FileError;
use uuid::Uuid;

pub(crate) use incoming::Incoming;
pub(crate) use labels::{LabelSegment, SavedLabels};
pub(crate) use scan::{LoadedScan, Scan, ScanFile};
pub(crate) use upload::Uploaded;

use crate::{Error, Result};
use scan::describe;

/// Within the data folder: what is the server's own.
const STATE: &str = ".bipvl";
/// Within the data folder: saved labels.
const LABELS: &str = "labels";
/// Before the id of a scan that belongs to a session.
const SESSION: &str = "session:";

/// A folder of scans.
#[derive(Debug)]
pub(crate) struct Library {
    root: PathBuf,
    /// What files were found to be, until they change.
    known: Mutex<HashMap<PathBuf, (Fingerprint, Vec<Scan>)>>,
    /// Uploads take their names one after the other.
    adding: Mutex<()>,
    /// Held by the only server that works in the folder.
    _lock: Option<File>,
}

/// What tells whether a file or folder has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    newest: SystemTime,
    files: usize,
    bytes: u64,
}

impl Library {
    /// Opens a folder, which is created if it is missing. Unless it is shared, it is this server's alone.
    pub(crate) fn open(root: &Path, is_shared: bool) -> Result<Self> {
        for folder in [root.join(STATE), root.join(STATE).join("results"), root.join(STATE).join("cache")] {
            fs::create_dir_all(&folder).map_err(|reason| FileError::new(&folder, reason))?;
        }
        let lock = if is_shared { None } else { Some(lock(root)?) };
        let uploads = root.join(STATE).join("uploads");
        if lock.is_some() {
            // Uploads that the last process did not finish.
            let _ = fs::remove_dir_all(&uploads);
        }
        fs::create_dir_all(&uploads).map_err(|reason| FileError::new(&uploads, reason))?;
        Ok(Self { root: root.to_owned(), known: Mutex::default(), adding: Mutex::default(), _lock: lock })
    }

    /// The file of the job database.
    pub(crate) fn database(&self) -> PathBuf {
        self.root.join(STATE).join("jobs.sqlite")
    }

    /// The results of a job. `id` is one that the server gave.
    pub(crate) fn results(&self, id: &str) -> PathBuf {
        self.root.join(STATE).join("results").join(id)
    }

    fn state(&self, name: &str) -> PathBuf {
        self.root.join(STATE).join(name)
    }

    /// All scans, the newest first.
    pub(crate) fn scans(&self) -> Result<Vec<Scan>> {
        let entries = fs::read_dir(&self.root).map_err(|reason| FileError::new(&self.root, reason))?;
        let mut scans = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || name == LABELS {
                continue;
            }
            scans.extend(self.described(&entry.path()));
        }
        for scan in &mut scans {
            scan.labels = self.label_tags(&scan.id);
        }
        scans.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        scans.dedup_by(|a, b| a.id == b.id);
        Ok(scans)
    }

    /// What a file or folder holds; nothing if it is no scan.
    fn described(&self, path: &Path) -> Vec<Scan> {
        let Some(now) = fingerprint(path) else { return Vec::new() };
        let lock = || self.known.lock().expect("no thread panics while it holds the list");
        if let Some((then, scans)) = lock().get(path)
            && *then == now
        {
            return scans.clone();
        }
        let scans = describe(path, milliseconds(now.newest));
        lock().insert(path.to_owned(), (now, scans.clone()));
        scans
    }

    /// The scan with an id, or with a `SeriesInstanceUID`.
    pub(crate) fn find(&self, id: &str) -> Result<Option<Scan>> {
        if let Some(session) = id.strip_prefix(SESSION) {
            return Ok(self.session(session));
        }
        Ok(self.scans()?.into_iter().find(|scan| scan.id == id || scan.series_uid.as_deref() == Some(id)))
    }

    /// The volumes of a series.
    pub(crate) fn of_series(&self, uid: &str) -> Result<Vec<Scan>> {
        let mut scans = self.scans()?;
        scans.retain(|scan| scan.series_uid.as_deref() == Some(uid));
        Ok(scans)
    }

    /// The scan of a session.
    pub(crate) fn session(&self, session: &str) -> Option<Scan> {
        // Only what the server made itself is a valid UUID.
        let session = Uuid::parse_str(session).ok()?.to_string();
        let folder = self.state("sessions").join(&session);
        let path = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).next()?;
        let mut scan = self.described(&path).into_iter().next()?;
        scan.id = format!("{SESSION}{session}");
        Some(scan)
    }

    /// Moves an upload into a session; its id.
    pub(crate) fn start_session(&self, upload: &Uploaded) -> Result<String> {
        let session = Uuid::new_v4().to_string();
        let folder = self.state("sessions").join(&session);
        fs::create_dir_all(&folder).map_err(|reason| FileError::new(&folder, reason))?;
        upload.move_to(&folder, None)?;
        Ok(session)
    }

    /// Deletes a session; `false` if there is none.
    pub(crate) fn end_session(&self, session: &str) -> bool {
        let Ok(session) = Uuid::parse_str(session) else { return false };
        fs::remove_dir_all(self.state("sessions").join(session.to_string())).is_ok()
    }

    /// Deletes sessions that nobody has used for so long.
    pub(crate) fn expire_sessions(&self, unused: std::time::Duration) {
        let Ok(folders) = fs::read_dir(self.state("sessions")) else { return };
        for folder in folders.flatten() {
            let age = folder
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|then| then.elapsed().ok());
            if age.is_some_and(|age| age > unused) {
                let _ = fs::remove_dir_all(folder.path());
            }
        }
    }

    /// Deletes a scan with its labels and pictures. A study with several volumes goes as a whole.
    pub(crate) fn delete(&self, scan: &Scan) -> Result<()> {
        let path = scan.file.path();
        let of_study = self.described(path);
        let deleted = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        deleted.map_err(|reason| FileError::new(path, reason))?;
        for scan in of_study {
            self.delete_labels(&scan.id);
            self.delete_pictures(&scan);
        }
        Ok(())
    }
}

/// Locks a data folder for as long as the file is open.
fn lock(root: &Path) -> Result<File> {
    let path = root.join(STATE).join("lock");
    let file = File::create(&path).map_err(|reason| FileError::new(&path, reason))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(root.to_owned())),
        Err(TryLockError::Error(reason)) => Err(FileError::new(&path, reason).into()),
    }
}

/// Of a file, or of all files below a folder.
fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let metadata = fs::metadata(path).ok()?;
    let mut found = Fingerprint { newest: metadata.modified().ok()?, files: 1, bytes: metadata.len() };
    if metadata.is_dir() {
        for entry in fs::read_dir(path).ok()?.flatten() {
            let below = fingerprint(&entry.path())?;
            found.newest = found.newest.max(below.newest);
            found.files += below.files;
            found.bytes += below.bytes;
        }
    }
    Some(found)
}

fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
