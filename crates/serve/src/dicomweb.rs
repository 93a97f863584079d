//! A DICOM archive that results are stored in, by STOW-RS (DICOM PS3.18, section 10.5).

use std::{fs, path::PathBuf};

use bipvl_io::FileError;
use ureq::{Agent, config::Config};
use uuid::Uuid;

use crate::{Error, Result};

/// Environment variable with the bearer token of the archive, if it wants one.
const TOKEN: &str = "BIPVL_DICOMWEB_TOKEN";

/// The archive of a server.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    url: String,
    agent: Agent,
}

impl Archive {
    /// `url` is the root of the service, such as `http://localhost:8042/dicom-web`.
    pub(crate) fn new(url: &str) -> Self {
        let config = Config::builder().http_status_as_error(false).build();
        Self { url: url.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    /// Stores DICOM files: all of them, or it is an error.
    pub(crate) fn store(&self, files: &[PathBuf]) -> Result<()> {
        let boundary = Uuid::new_v4().simple().to_string();
        let mut body = Vec::new();
        for path in files {
            let bytes = fs::read(path).map_err(|reason| FileError::new(path, reason))?;
            body.extend(format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes());
            body.extend_from_slice(&bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").into_bytes());
        let media_type = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let mut request = self
            .agent
            .post(format!("{}/studies", self.url))
            .header("content-type", media_type)
            .header("accept", "application/dicom+json");
        if let Ok(token) = std::env::var(TOKEN) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let refused = |reason: String| Error::Archive { url: self.url.clone(), reason };
        let answer = request.send(&body[..]).map_err(|error| refused(error.to_string()))?;
        // 202 means that some were stored.
        match answer.status().as_u16() {
            200 => Ok(()),
            status => Err(refused(format!("status {status}; 200 is expected"))),
        }
    }
}
