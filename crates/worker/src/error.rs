//! Errors of this crate.

use std::net::SocketAddr;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a queue cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the server cannot be read.
    #[error("{url}: not the address of a NATS server, such as nats://localhost:4222: {reason}")]
    Address {
        /// What was given, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The name of a queue cannot be one of a stream.
    #[error("`{0}` is no name of a queue: letters, digits, - and _ are allowed")]
    Name(String),
    /// The server does not answer.
    #[error("{url}: cannot connect: {reason}")]
    Connect {
        /// The address, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refuses a request, or did not answer in time.
    #[error("queue `{queue}`: {action}: {reason}")]
    Request {
        /// The queue.
        queue: String,
        /// What was asked for.
        action: &'static str,
        /// What the server says.
        reason: String,
    },
    /// The queue holds as many studies as it may.
    #[error(
        "queue `{queue}` is full; {accepted} studies were accepted, {left} were not; submit them again later"
    )]
    Full {
        /// The queue.
        queue: String,
        /// Studies that were accepted before.
        accepted: usize,
        /// Studies that were not.
        left: usize,
    },
    /// Figures cannot be offered at an address.
    #[error("{address}: cannot listen: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The system has no threads left.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}
