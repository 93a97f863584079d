//! `bipvl serve`: models in memory, jobs that survive, the protocols of viewers, and a page.
//!
//! [`Server::start`] opens models, data folder and database, and listens; [`Server::run`] answers until it is told to
//! stop. A request never runs a network: it puts a job into the queue, which workers take one after the other.

#[allow(unused_qualifications, reason = "the macro of `OpenAPI` documents names types by their paths")]
mod api;
mod app;
mod archive;
mod auth;
mod beside;
mod delegate;
mod engine;
mod error;
mod library;
mod metrics;
mod models;
mod monai;
mod multipart;
mod options;
mod origin;
mod page;
mod queue;
mod results;
mod rules;
mod server;
mod viewed;

pub use auth::{Role, add_token};
pub use error::{Error, Result};
pub use options::{ServeOptions, StudyQueue};
pub use server::Server;

pub(crate) use error::{ApiError, ApiResult, ErrorBody, without_folders};
