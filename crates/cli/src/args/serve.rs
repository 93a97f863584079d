//! Flags of `serve`.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use bipvl_serve::Role;
use clap::{Args, ValueEnum, value_parser};

use bipvl::device::DeviceKind;

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Run to keep loaded, with the name that requests use; repeat for several [default name: that of the folder].
    #[arg(long, value_name = "NAME=RUN")]
    pub(crate) model: Vec<NamedRun>,
    /// Folder of scans, labels and results: image files, and folders or zip archives with DICOM. It is created if it is
    /// missing.
    #[arg(long, value_name = "DIR", required_unless_present = "new_token")]
    pub(crate) data: Option<PathBuf>,
    /// Address and port to listen on. With one that other machines can reach, --tokens or --no-auth is required.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// Database of jobs, `sqlite://FILE` or `postgres://USER:PASSWORD@HOST/NAME`, which several servers with the same
    /// --data may share [default: a file in --data].
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Archive that series are fetched from and results are sent to, by the root of its DICOM web service, such as
    /// `http://localhost:8042/dicom-web`. Its credentials, if it wants any, are read from the environment variables
    /// `BIPVL_DICOMWEB_TOKEN` (a bearer token) or `BIPVL_DICOMWEB_LOGIN` (`NAME:PASSWORD`).
    #[arg(long, value_name = "URL")]
    pub(crate) dicomweb: Option<String>,
    /// Segment new studies of the archive by themselves, as a file of rules (TOML) says.
    #[arg(long, value_name = "FILE", requires = "dicomweb")]
    pub(crate) rules: Option<PathBuf>,
    /// How often the archive is asked for new studies, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u32).range(1..=86400))]
    pub(crate) poll: u32,
    /// File of access tokens; requests without one of them are refused.
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// Origin of a page that may ask this server, such as `https://ohif.example`; repeatable. The server's own page may.
    #[arg(long, value_name = "URL")]
    pub(crate) allow_origin: Vec<String>,
    /// Listen on any address without tokens: whoever reaches the port may do everything.
    #[arg(long, conflicts_with = "tokens")]
    pub(crate) no_auth: bool,
    /// Add a token for NAME to the file of --tokens, print it, and exit. It is stored as a hash and never shown again.
    #[arg(long, value_name = "NAME", requires = "tokens")]
    pub(crate) new_token: Option<String>,
    /// What the new token allows.
    #[arg(long, value_enum, default_value_t = RoleArg::Write, requires = "new_token")]
    pub(crate) role: RoleArg,
    /// Have workers do the jobs: `bipvl worker` with the same models and with --data at the same path, by this NATS server. A
    /// token, if it wants one, is read from the environment variable `BIPVL_NATS_TOKEN`.
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// Name of the queue of those workers.
    #[arg(long, value_name = "NAME", default_value = "bipvl", requires = "nats")]
    pub(crate) queue: String,
    /// Jobs that run at once, or that workers have at once. They share the threads, so more than one keeps a large scan from stopping small ones.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u8).range(1..=255))]
    pub(crate) parallel_jobs: u8,
    /// Largest upload, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 4, value_parser = value_parser!(u64).range(1..=1024))]
    pub(crate) max_upload: u64,
    /// Days that results are kept; 0 for ever.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) keep_results: u32,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// The data are those of `bipvl demo`, and the page says so.
    #[arg(long, hide = true)]
    pub(crate) demo: bool,
}

/// A run with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedRun {
    pub(crate) name: String,
    pub(crate) run: PathBuf,
}

impl FromStr for NamedRun {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, run) = if let Some((name, run)) = text.split_once('=') {
            (name.to_owned(), PathBuf::from(run))
        } else {
            let run = PathBuf::from(text);
            let name = run.file_name().map(|name| name.to_string_lossy().into_owned());
            (name.ok_or("expected NAME=RUN")?, run)
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!(
                "`{name}` is no name of a model: letters, digits, - _ . are allowed; NAME=RUN"
            ));
        }
        Ok(Self { name, run })
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Look at scans and results.
    Read,
    /// Also upload, segment and save labels.
    Write,
    /// Also delete scans.
    Admin,
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Read => Self::Read,
            RoleArg::Write => Self::Write,
            RoleArg::Admin => Self::Admin,
        }
    }
}
