//! Files and folders of S3-compatible object stores and of web servers: fetched into a local cache, stored from local
//! paths.
//!
//! A URL is `s3://BUCKET/KEY`, `http://HOST/PATH` or `https://HOST/PATH`, of an object or of a folder (all objects below
//! it; over HTTP, a server with `WebDAV` must list them). Addresses, regions and keys of S3 come from the environment
//! variables that the AWS tools read (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`;
//! `AWS_ALLOW_HTTP=true` for a server without TLS), never from a URL.

mod cache;
mod error;
mod location;
mod storage;
mod transfer;
mod upload;

use cache::CacheEntry;

pub use cache::Cache;
pub use error::{Error, Result};
pub use location::is_remote;
pub use storage::{Contents, Storage};
