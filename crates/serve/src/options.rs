//! What a server is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use burn::tensor::Device;

/// Options of [`Server::start`](crate::Server::start).
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Runs with the names that requests use.
    pub models: Vec<(String, PathBuf)>,
    /// The folder of scans, labels and results.
    pub data: PathBuf,
    /// `sqlite://…` or `postgres://…`; `None` for a file in the data folder.
    pub database: Option<String>,
    /// Address and port; port 0 for any that is free.
    pub listen: SocketAddr,
    /// The `DICOMweb` service of an archive that series are fetched from and results are stored in.
    pub dicomweb: Option<String>,
    /// A file that says which new studies of the archive are segmented by themselves.
    pub rules: Option<PathBuf>,
    /// How often the archive is asked for new studies, if there are rules.
    pub poll: Duration,
    /// A file of tokens; without it everyone may do everything.
    pub tokens: Option<PathBuf>,
    /// Origins of pages beside the server's own that may ask it, such as `https://ohif.example`.
    pub allowed_origins: Vec<String>,
    /// Whether to listen on an address that other machines reach, without tokens.
    pub no_auth: bool,
    /// Jobs that run at once; they share the threads, or are done by as many workers.
    pub parallel_jobs: usize,
    /// The queue of workers that do the jobs; `None` to do them here.
    pub workers: Option<StudyQueue>,
    /// The largest upload in bytes.
    pub max_upload: u64,
    /// How long results are kept; `None` for ever.
    pub keep_results: Option<Duration>,
    /// Whether the page tells that scans and model are those of the demo.
    pub demo: bool,
    /// Where the networks run.
    pub device: Device,
}

impl ServeOptions {
    /// Of a server on port 8000 of this machine, with a data folder.
    pub fn new(data: PathBuf) -> Self {
        Self {
            models: Vec::new(),
            data,
            database: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            dicomweb: None,
            rules: None,
            poll: Duration::from_mins(1),
            tokens: None,
            allowed_origins: Vec::new(),
            no_auth: false,
            parallel_jobs: 2,
            workers: None,
            max_upload: 4 << 30,
            keep_results: Some(Duration::from_hours(30 * 24)),
            demo: false,
            device: Device::default(),
        }
    }
}

/// A queue of studies on a NATS server, for which `bipvl-serve` is built with the feature `nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyQueue {
    /// Address of the server, such as `nats://localhost:4222`.
    pub url: String,
    /// A token that is not in the URL.
    pub token: Option<String>,
    /// Name of the queue.
    pub name: String,
}
