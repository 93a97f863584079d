//! Files into objects.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bipvl_io::FileError;
use object_store::{buffered::BufWriter, path::Path as ObjectPath};
use tokio::io::AsyncWriteExt;

use crate::{Error, Result, location::Location};

/// Larger files go in parts of this many bytes, of which some are on their way at once.
const PART: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 2;

/// Stores a file at the location, or the files below a folder below it. An object appears when all of it has arrived.
pub(crate) async fn store(path: &Path, location: &Location) -> Result<()> {
    if path.is_file() {
        return store_file(path, location, &location.path).await;
    }
    if !path.is_dir() {
        return Err(Error::NothingToStore(path.to_owned()));
    }
    for file in files_below(path)? {
        let object = location.clone().below(file.strip_prefix(path).unwrap_or(&file))?;
        store_file(&file, &object, &object.path).await?;
    }
    Ok(())
}

async fn store_file(path: &Path, location: &Location, object: &ObjectPath) -> Result<()> {
    let about = |reason| FileError::new(path, reason);
    let mut file = tokio::fs::File::open(path).await.map_err(about)?;
    let writer = BufWriter::with_capacity(Arc::clone(&location.store), object.clone(), PART);
    let mut writer = writer.with_max_concurrency(PARTS_AT_ONCE);
    let sent = async {
        tokio::io::copy(&mut file, &mut writer).await?;
        writer.shutdown().await
    };
    if let Err(reason) = sent.await {
        // Parts that have arrived would be paid for without being seen; the first error is the one to report.
        let _ = writer.abort().await;
        let reason = object_store::Error::Generic { store: "upload", source: reason.into() };
        return Err(location.failed(object, reason));
    }
    Ok(())
}

/// All files below a folder, in the order of their names.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let about = |reason| FileError::new(folder, reason);
    let entries = fs::read_dir(folder).map_err(about)?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(about)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
