//! URLs, and the stores they are in.

use std::{path::Path, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, http::HttpBuilder,
    path::Path as ObjectPath,
};
use url::Url;

use crate::{Error, Result};

const SCHEMES: [&str; 3] = ["s3", "http", "https"];
/// To connect, and between two pieces of a body.
const SILENCE: Duration = Duration::from_secs(30);
/// A store that answers errors for longer is reported.
const RETRY_FOR: Duration = Duration::from_mins(1);
const RETRIES: usize = 6;

/// Whether an argument names an object or a folder of a store, by its scheme.
pub fn is_remote(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// An object or a folder of a store.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) url: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: ObjectPath,
}

impl Location {
    /// Finds the store of a URL; nothing is sent yet.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: String| Error::Url { url: without_secrets(text), reason };
        let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(invalid(format!("`{}` is no known scheme", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("keys belong in environment variables, not in a URL".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("a URL with ? or # is not supported".to_owned()));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("the name of the bucket or host is missing".to_owned()))?;
        let path = ObjectPath::from_url_path(url.path()).map_err(|error| invalid(error.to_string()))?;
        // An error means that a provider is installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = if url.scheme() == "s3" { s3(host) } else { http(&url) };
        let store = store.map_err(|reason| Error::Store { url: text.to_owned(), reason })?;
        Ok(Self { url: text.trim_end_matches('/').to_owned(), store, path })
    }

    /// The last part of its path, which the local copy is called.
    pub(crate) fn name(&self) -> &str {
        self.path.filename().unwrap_or("bucket")
    }

    /// The location at a path below this one.
    pub(crate) fn below(self, relative: &Path) -> Result<Self> {
        let (mut url, mut path) = (self.url, self.path.to_string());
        for name in relative.iter().map(|name| name.to_string_lossy()) {
            url = format!("{url}/{name}");
            path = format!("{path}/{name}");
        }
        let path = ObjectPath::parse(path)
            .map_err(|reason| Error::Url { url: url.clone(), reason: reason.to_string() })?;
        Ok(Self { url, path, ..self })
    }

    /// The URL of an object in this store.
    pub(crate) fn url_of(&self, object: &ObjectPath) -> String {
        match object.prefix_match(&self.path) {
            Some(parts) => parts.fold(self.url.clone(), |url, part| format!("{url}/{}", part.as_ref())),
            None => self.url.clone(),
        }
    }

    pub(crate) fn failed(&self, object: &ObjectPath, reason: object_store::Error) -> Error {
        let url = self.url_of(object);
        // The last place where keys are looked for is the service of a cloud's machines at this address.
        if reason.to_string().contains("169.254.169.254") {
            Error::NoKeys { url, reason }
        } else {
            Error::Store { url, reason }
        }
    }
}

fn s3(bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let is_allowed = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value == "true");
    let builder = builder.with_client_options(client_options(is_allowed)).with_retry(retries());
    Ok(Arc::new(builder.build()?))
}

fn http(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let root = &url[..url::Position::BeforePath];
    let builder = HttpBuilder::new().with_url(root);
    let builder = builder.with_client_options(client_options(url.scheme() == "http")).with_retry(retries());
    Ok(Arc::new(builder.build()?))
}

/// A large object may take any time, as long as it moves.
fn client_options(allows_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allows_http)
        .with_timeout_disabled()
        .with_connect_timeout(SILENCE)
        .with_read_timeout(SILENCE)
}

fn retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_FOR }
}

/// The URL without a user and password, which no message may repeat.
fn without_secrets(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_stores_are_remote() {
        for text in ["s3://b/k", "http://h/p", "https://h/p"] {
            assert!(is_remote(text), "{text}");
        }
        for text in ["scan.nii.gz", "C:\\scans", "nats://h", "file:///scan", "s3:/b", "a/s3://b"] {
            assert!(!is_remote(text), "{text}");
        }
    }

    #[test]
    fn keys_in_a_url_are_refused_and_not_repeated() {
        let error = Location::parse("https://me:secret@host/scan.nii.gz").unwrap_err().to_string();
        assert!(error.contains("environment variables") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_is_no_url_of_a_store_is_refused() {
        for (text, reason) in [
            ("s3://", "bucket"),
            ("ftp://host/a", "no known scheme"),
            ("https://host/a?signature=1", "not supported"),
            ("scan.nii.gz", "relative URL"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains("expected s3://BUCKET/KEY"), "{error}");
        }
    }

    #[test]
    fn names_may_have_any_letter() {
        let folder = Location::parse("https://host/set/").unwrap();
        let object = folder.below(Path::new("masks/case #1?_50 %.nii.gz")).unwrap();
        assert_eq!(object.url, "https://host/set/masks/case #1?_50 %.nii.gz");
        assert_eq!(object.name(), "case #1?_50 %.nii.gz");
    }

    #[test]
    fn an_object_below_a_folder_has_its_url() {
        let folder = Location::parse("https://host/data/set/").unwrap();
        let object = ObjectPath::parse("data/set/imagesTr/a.nii.gz").unwrap();
        assert_eq!(folder.url_of(&object), "https://host/data/set/imagesTr/a.nii.gz");
    }
}
