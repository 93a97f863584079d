//! Forms with files, streamed to disk.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    extract::{
        Multipart,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
};
use bipvl_io::FileError;
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{
    ApiError, ApiResult,
    library::{Incoming, Library},
};

/// Bytes of a text field at most.
const MAX_TEXT: usize = 1 << 20;

/// Text fields of a form at most.
const MAX_TEXTS: usize = 16;
/// How long a client may send nothing in the middle of a form.
const SILENCE: Duration = Duration::from_mins(1);

/// The files and texts of a form.
pub(crate) struct Form {
    /// Files under the names that were asked for.
    pub(crate) incoming: Incoming,
    /// Each file with the name of its part.
    pub(crate) files: Vec<(String, PathBuf)>,
    texts: Vec<(String, String)>,
}

impl Form {
    /// Reads a form: parts with these names are files, all others are texts.
    pub(crate) async fn read(mut form: Multipart, file_parts: &[&str], library: &Library) -> ApiResult<Self> {
        let mut incoming = library.incoming()?;
        let (mut files, mut texts) = (Vec::new(), Vec::new());
        while let Some(field) = in_time(form.next_field()).await? {
            let part = field.name().unwrap_or_default().to_owned();
            if file_parts.contains(&part.as_str()) {
                let name = field.file_name().unwrap_or("scan").to_owned();
                let path = incoming.next_path(&name)?;
                store(field, &path).await?;
                files.push((part, path));
            } else {
                if texts.len() == MAX_TEXTS {
                    return Err(ApiError::bad_request(format!(
                        "a form of at most {MAX_TEXTS} texts is expected"
                    )));
                }
                texts.push((part, text(field).await?));
            }
        }
        Ok(Self { incoming, files, texts })
    }

    /// The text of a part.
    pub(crate) fn text(&self, part: &str) -> Option<&str> {
        self.texts.iter().find(|(name, _)| name == part).map(|(_, text)| text.as_str())
    }

    /// The file of a part.
    pub(crate) fn file(&self, part: &str) -> Option<&Path> {
        self.files.iter().find(|(name, _)| name == part).map(|(_, path)| path.as_path())
    }
}

async fn store(mut field: Field<'_>, path: &Path) -> ApiResult<()> {
    let failed = |reason| ApiError::from(FileError::new(path, reason));
    let mut file = File::create(path).await.map_err(failed)?;
    while let Some(chunk) = in_time(field.chunk()).await? {
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

async fn text(mut field: Field<'_>) -> ApiResult<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = in_time(field.chunk()).await? {
        if bytes.len() + chunk.len() > MAX_TEXT {
            let part = field.name().unwrap_or_default();
            return Err(ApiError::bad_request(format!("part `{part}`: a text of at most 1 MiB is expected")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::bad_request("a text of the form is not UTF-8"))
}

/// What comes next of a form, unless it is broken, too large, or nothing comes.
async fn in_time<T>(next: impl Future<Output = Result<T, MultipartError>>) -> ApiResult<T> {
    let silent = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "nothing was sent for a minute");
    let part = tokio::time::timeout(SILENCE, next).await.map_err(silent)?;
    part.map_err(|error| ApiError::new(error.status(), error.body_text()))
}
