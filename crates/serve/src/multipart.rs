//! Forms with files, streamed to disk.

use std::path::{Path, PathBuf};

use axum::extract::{Multipart, multipart::Field};
use bipvl_io::FileError;
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{
    ApiError, ApiResult,
    library::{Incoming, Library},
};

/// Bytes of a text field at most.
const MAX_TEXT: usize = 1 << 20;

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
        while let Some(field) = form.next_field().await.map_err(refuse)? {
            let part = field.name().unwrap_or_default().to_owned();
            if file_parts.contains(&part.as_str()) {
                let name = field.file_name().unwrap_or("scan").to_owned();
                let path = incoming.next_path(&name);
                store(field, &path).await?;
                files.push((part, path));
            } else {
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
    while let Some(chunk) = field.chunk().await.map_err(refuse)? {
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

async fn text(mut field: Field<'_>) -> ApiResult<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(refuse)? {
        if bytes.len() + chunk.len() > MAX_TEXT {
            let part = field.name().unwrap_or_default();
            return Err(ApiError::bad_request(format!("part `{part}`: a text of at most 1 MiB is expected")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::bad_request("a text of the form is not UTF-8"))
}

/// A form that is broken or too large; the library knows which.
fn refuse(error: axum::extract::multipart::MultipartError) -> ApiError {
    ApiError::new(error.status(), error.body_text())
}
