//! Errors of this crate, and how a client sees them.

use std::{net::SocketAddr, path::PathBuf};

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bipvl_io::FileError;
use serde::Serialize;
use utoipa::ToSchema;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server cannot start or do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// From `bipvl-imaging`.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),
    /// From `bipvl-dicom`.
    #[error(transparent)]
    Dicom(#[from] bipvl_dicom::Error),
    /// From `bipvl-prompts`.
    #[error(transparent)]
    Prompts(#[from] bipvl_prompts::Error),
    /// The database of jobs refuses.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables cannot be made, or are those of a newer version.
    #[error("database: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// An address cannot be listened on.
    #[error("{address}: cannot listen: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Anyone in the network could ask.
    #[error("{address} can be reached by other machines; give a file of tokens, or say that none are wanted")]
    Unprotected {
        /// The address.
        address: SocketAddr,
    },
    /// Two models have one name.
    #[error("two models are called `{0}`; give each a name of its own: NAME=RUN")]
    DuplicateModel(String),
    /// A file of tokens cannot be read.
    #[error("{}: {reason}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The archive does not do what it was asked for.
    #[error("archive {url}: {reason}")]
    Archive {
        /// The root of its `DICOMweb` service.
        url: String,
        /// What it answered.
        reason: String,
    },
    /// A file of rules cannot be followed.
    #[error("{}: {reason}", path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The archive has no such series.
    #[error("{0}")]
    NotInArchive(String),
    /// What was sent is no scan.
    #[error("{0}")]
    NoScan(String),
    /// A thread of the server ended early.
    #[error("a task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// A segmentation was canceled.
    #[error("canceled")]
    Canceled,
    /// The network or its input has a fault that nobody expected.
    #[error("the segmentation failed: {0}")]
    Panic(String),
    /// An upload is here already.
    #[error("scan `{0}` is here already")]
    Exists(String),
    /// The queue of workers cannot be used.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Workers(#[from] bipvl_worker::Error),
    /// Workers of a queue are wanted of a program that cannot ask for them.
    #[error("this program was built without NATS; build it with the feature nats")]
    WithoutNats,
    /// Another server works in the data folder.
    #[error("{}: another server works in this folder; servers that share one need a PostgreSQL database", .0.display())]
    InUse(PathBuf),
    /// A job names what the server no longer has.
    #[error("{0}")]
    Gone(String),
}

/// An answer that says what was wrong with a request.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: String,
}

/// The body of an [`ApiError`], as `FastAPI` and with it MONAI Label send it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What is wrong, and what would be right.
    pub(crate) detail: String,
}

pub(crate) type ApiResult<T> = std::result::Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// A file that was sent cannot be used.
    pub(crate) fn unusable(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, without_folders(&error.to_string()))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!("{}", self.detail);
        }
        (self.status, Json(ErrorBody { detail: self.detail })).into_response()
    }
}

/// A message in which files have their names alone: the folders of the server are its own.
pub(crate) fn without_folders(message: &str) -> String {
    let is_file = |word: &str| word.starts_with('/') || (word.contains('/') && word.ends_with(':'));
    let words = message.split(' ');
    let shown = words.map(|word| if is_file(word) { word.rsplit('/').next().unwrap_or(word) } else { word });
    shown.collect::<Vec<_>>().join(" ")
}

/// Faults of the server itself; those of a request are made where it is read.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match &error {
            // A file of the data folder that is not, or no longer, what it should be.
            Error::Imaging(_) | Error::Dicom(_) | Error::Gone(_) | Error::NoScan(_) => Self::unusable(&error),
            Error::NotInArchive(reason) => Self::not_found(reason),
            Error::Exists(_) => Self::conflict(error.to_string()),
            Error::Archive { .. } => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
            Error::Prompts(reason) if reason.is_request() => Self::bad_request(reason.to_string()),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, without_folders(&error.to_string())),
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        Error::from(error).into()
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_files_without_their_folders() {
        assert_eq!(
            without_folders("/data/.bipvl/uploads/x/a.nii.gz: truncated: 1/2 read"),
            "a.nii.gz: truncated: 1/2 read"
        );
        assert_eq!(without_folders("d2/b.nii.gz: 3 mm/s"), "b.nii.gz: 3 mm/s");
    }
}
