//! A DICOM archive, by `DICOMweb` (DICOM PS3.18): searched by QIDO-RS, read by WADO-RS, written by STOW-RS.

mod body;
mod fetch;
pub(crate) mod proxy;
mod query;
mod store;

use std::{env, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::sync::Semaphore;
use ureq::{Agent, RequestBuilder, config::Config};

pub(crate) use fetch::{ensure, fetch, in_library};
pub(crate) use query::{ArchiveSeries, ArchiveStudy, StudyFilter};

use crate::Error;

/// Environment variable with the bearer token of the archive, if it wants one.
const TOKEN: &str = "BIPVL_DICOMWEB_TOKEN";
/// Environment variable with `NAME:PASSWORD`, if it wants these.
const LOGIN: &str = "BIPVL_DICOMWEB_LOGIN";

const CONNECT: Duration = Duration::from_secs(10);
/// How long an archive may send nothing: it may store a large study before it answers.
const ANSWER: Duration = Duration::from_mins(5);
/// How long an archive may take nothing of what it is sent.
const SILENCE: Duration = Duration::from_mins(1);
/// How long an answer may take from its first byte to its last.
const WHOLE: Duration = Duration::from_hours(1);
/// Series that are fetched at once; others wait.
const MAX_FETCHES: usize = 3;

/// The archive of a server. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    /// Such as `http://localhost:8042/dicom-web`.
    root: String,
    agent: Agent,
    /// Bytes of a series at most.
    max_bytes: u64,
    fetching: Arc<Semaphore>,
}

impl Archive {
    /// `url` is the root of the service.
    pub(crate) fn new(url: &str, max_bytes: u64) -> Self {
        // An archive that sends elsewhere would take what it is sent, credentials among it, out of the configured root.
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .timeout_per_write(Some(SILENCE))
            .timeout_recv_body(Some(WHOLE))
            .build();
        Self {
            root: url.trim_end_matches('/').to_owned(),
            agent: config.into(),
            max_bytes,
            fetching: Arc::new(Semaphore::new(MAX_FETCHES)),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// What the archive did instead of what was asked for.
    fn refused(&self, reason: impl std::fmt::Display) -> Error {
        Error::Archive { url: self.root.clone(), reason: reason.to_string() }
    }
}

/// Adds the credentials of the server, if it was given some.
fn with_credentials<B>(request: RequestBuilder<B>) -> RequestBuilder<B> {
    let bearer = env::var(TOKEN).map(|token| format!("Bearer {token}"));
    let login = || env::var(LOGIN).map(|login| format!("Basic {}", BASE64_STANDARD.encode(login)));
    match bearer.or_else(|_| login()) {
        Ok(value) => request.header("authorization", value),
        Err(_) => request,
    }
}

/// Whether a text can be a UID: what is not never reaches an archive as part of a path.
pub(crate) fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_digits_and_single_dots() {
        assert!(is_uid("2.25.123") && is_uid("1"));
        for text in ["", ".", "1..2", "1.", "../1", "1.2/3", "1.a", "1 2", &"1".repeat(65)] {
            assert!(!is_uid(text), "{text}");
        }
    }
}
