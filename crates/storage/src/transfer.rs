//! Objects into files.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use bipvl_io::{FileError, atomic_write};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path as ObjectPath};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use crate::{Contents, Error, Result, location::Location};

/// Objects that are fetched at once.
const AT_ONCE: usize = 8;

/// What a copy is a copy of; it is fetched again when this changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    size: u64,
    modified: i64,
    etag: Option<String>,
    /// Whether the file has the contents, or only name and size.
    is_whole: bool,
}

impl Version {
    fn of(object: &ObjectMeta, is_whole: bool) -> Self {
        let modified = object.last_modified.timestamp_millis();
        Self { size: object.size, modified, etag: object.e_tag.clone(), is_whole }
    }

    /// Whether a copy of this version serves where `wanted` is wanted.
    fn serves(&self, wanted: &Self) -> bool {
        let Self { size, modified, etag, is_whole } = self;
        (size, modified, etag) == (&wanted.size, &wanted.modified, &wanted.etag)
            && (*is_whole || !wanted.is_whole)
    }
}

/// Versions of the files of an entry, by their path below it.
type Index = BTreeMap<PathBuf, Version>;

/// Where copies go.
#[derive(Debug)]
pub(crate) struct Copies {
    /// The folder that gets the file, or the folder of files.
    pub(crate) files: PathBuf,
    /// Remembers what was fetched, so that it is not fetched again.
    pub(crate) index: Option<PathBuf>,
}

/// Makes the copies those of the location; the path of the file, or of the folder.
pub(crate) async fn fetch(location: &Location, copies: &Copies, contents: Contents) -> Result<PathBuf> {
    let (objects, is_folder) = objects(location).await?;
    let name = location.name();
    let base = if is_folder { PathBuf::from(name) } else { PathBuf::new() };
    let mut wanted = Vec::new();
    for object in objects {
        let relative = if is_folder { below(location, &object.location) } else { PathBuf::from(name) };
        let version = Version::of(&object, contents.includes(&relative));
        wanted.push((base.join(relative), object, version));
    }
    refuse_folders_as_files(location, &wanted)?;
    let mut index = copies.index.as_deref().map(read_index).unwrap_or_default();
    let files = &copies.files;
    remove_others(files, &mut index, &wanted)?;
    let is_missing = |(path, _, version): &&(PathBuf, ObjectMeta, Version)| {
        !index.get(path).is_some_and(|found| found.serves(version) && is_of_size(&files.join(path), version))
    };
    let missing: Vec<_> = wanted.iter().filter(is_missing).cloned().collect();
    let mut fetched = stream::iter(missing)
        .map(|(path, object, version)| {
            let target = files.join(&path);
            async move {
                copy(location, &object, &target, version.is_whole).await?;
                Ok::<_, Error>((path, version))
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut outcome = Ok(());
    while let Some(result) = fetched.next().await {
        match result {
            Ok((path, version)) => drop(index.insert(path, version)),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    drop(fetched);
    // Also after an error: what has arrived need not come again.
    if let Some(path) = &copies.index {
        let text = serde_json::to_vec_pretty(&index).map_err(std::io::Error::other);
        atomic_write(path, &text.map_err(|reason| FileError::new(path, reason))?)?;
    }
    outcome.map(|()| files.join(name))
}

/// The object of a location, or those below it; and whether it is a folder.
async fn objects(location: &Location) -> Result<(Vec<ObjectMeta>, bool)> {
    let about = |reason| location.failed(&location.path, reason);
    let mut empty = None;
    if !location.path.as_ref().is_empty() {
        match location.store.head(&location.path).await {
            // Perhaps a folder: WebDAV answers so for one, and some tools make such objects in buckets.
            Ok(object) if object.size == 0 => empty = Some(object),
            Ok(object) => return Ok((vec![object], false)),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(reason) => return Err(about(reason)),
        }
    }
    let listed = location.store.list(Some(&location.path)).try_collect::<Vec<_>>().await;
    match (listed, empty) {
        (Ok(objects), _) if objects.iter().any(|object| object.location != location.path) => {
            Ok((without_markers(objects, &location.path), true))
        }
        (_, Some(object)) => Ok((vec![object], false)),
        (Ok(_), None) => Err(Error::NotFound { url: location.url.clone() }),
        (Err(reason), None) => Err(about(reason)),
    }
}

/// The objects without the empty ones that only stand for folders.
fn without_markers(mut objects: Vec<ObjectMeta>, folder: &ObjectPath) -> Vec<ObjectMeta> {
    let mut folders: HashSet<ObjectPath> = HashSet::from([folder.clone()]);
    for object in &objects {
        let mut parent = object.location.parent();
        while let Some(folder) = parent {
            parent = folder.parent();
            folders.insert(folder);
        }
    }
    objects.retain(|object| object.size > 0 || !folders.contains(&object.location));
    objects
}

fn below(location: &Location, object: &ObjectPath) -> PathBuf {
    let parts = object.prefix_match(&location.path);
    parts.into_iter().flatten().map(|part| part.as_ref().to_owned()).collect()
}

/// An object may be called as a folder is; a file may not.
fn refuse_folders_as_files(location: &Location, wanted: &[(PathBuf, ObjectMeta, Version)]) -> Result<()> {
    let folders: HashSet<&Path> = wanted.iter().flat_map(|(path, ..)| path.ancestors().skip(1)).collect();
    match wanted.iter().find(|(path, ..)| folders.contains(path.as_path())) {
        Some((_, object, _)) => Err(Error::FolderAndFile { url: location.url_of(&object.location) }),
        None => Ok(()),
    }
}

fn read_index(path: &Path) -> Index {
    // A missing or damaged index only means that everything is fetched again.
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn is_of_size(path: &Path, version: &Version) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() == version.size)
}

/// Removes copies of objects that are gone.
fn remove_others(files: &Path, index: &mut Index, wanted: &[(PathBuf, ObjectMeta, Version)]) -> Result<()> {
    let kept: HashSet<&Path> = wanted.iter().map(|(path, ..)| path.as_path()).collect();
    let gone: Vec<PathBuf> = index.keys().filter(|path| !kept.contains(path.as_path())).cloned().collect();
    for path in gone {
        let file = files.join(&path);
        if file.exists() {
            fs::remove_file(&file).map_err(|reason| FileError::new(&file, reason))?;
        }
        index.remove(&path);
    }
    Ok(())
}

/// Fetches an object beside its place and moves it there; or only makes a file of its size.
async fn copy(location: &Location, object: &ObjectMeta, target: &Path, is_whole: bool) -> Result<()> {
    let about = |reason| FileError::new(target, reason);
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(about)?;
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(about)?;
    if is_whole {
        let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(about)?);
        let found = receive(location, object, &mut file, target).await?;
        if found != object.size {
            let url = location.url_of(&object.location);
            return Err(Error::Truncated { url, expected: object.size, found });
        }
    } else {
        temporary.as_file().set_len(object.size).map_err(about)?;
    }
    temporary.persist(target).map_err(|error| about(error.error))?;
    Ok(())
}

async fn receive(
    location: &Location,
    object: &ObjectMeta,
    file: &mut tokio::fs::File,
    target: &Path,
) -> Result<u64> {
    let failed = |reason| location.failed(&object.location, reason);
    let about = |reason| FileError::new(target, reason);
    let mut body = location.store.get(&object.location).await.map_err(failed)?.into_stream();
    let mut found = 0;
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(failed)?;
        found += bytes.len() as u64;
        file.write_all(&bytes).await.map_err(about)?;
    }
    file.flush().await.map_err(about)?;
    Ok(found)
}
