//! The queue that the flags name.

use std::{env, process};

use bipvl_worker::QueueOptions;

use crate::{
    args::QueueArgs,
    commands::{predict::record::host, serve::NATS_TOKEN},
};

/// The queue of the flags, for a client with a name.
pub(crate) fn options(args: &QueueArgs, client: &str) -> QueueOptions {
    QueueOptions {
        url: args.nats.clone(),
        token: env::var(NATS_TOKEN).ok(),
        name: args.queue.clone(),
        max_studies: args.max_studies,
        client: client.to_owned(),
    }
}

/// The name of this process: `HOST-PID`.
pub(crate) fn process_name() -> String {
    format!("{}-{}", host().unwrap_or_else(|| "worker".to_owned()), process::id())
}
