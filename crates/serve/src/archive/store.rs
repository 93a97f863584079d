//! STOW-RS: results into the archive (DICOM PS3.18, section 10.5).

use std::{fs, path::PathBuf};

use bipvl_io::FileError;
use uuid::Uuid;

use super::{Archive, with_credentials};
use crate::Result;

impl Archive {
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
        let request = self
            .agent
            .post(self.url("studies"))
            .header("content-type", media_type)
            .header("accept", "application/dicom+json");
        let answer = with_credentials(request).send(&body[..]).map_err(|error| self.refused(error))?;
        // 202 means that some were stored.
        match answer.status().as_u16() {
            200 => Ok(()),
            status => Err(self.refused(format!("status {status} to a STOW-RS request; 200 is expected"))),
        }
    }
}
