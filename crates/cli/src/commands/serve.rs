//! `bipvl serve`: models in memory, asked by viewers and by a page.

use std::{env, time::Duration};

use anyhow::{Result, bail};
use bipvl_serve::{ServeOptions, Server, StudyQueue, add_token};

use crate::{args::ServeArgs, interrupt};

/// Holds a token for NATS servers that want one.
pub(crate) const NATS_TOKEN: &str = "BIPVL_NATS_TOKEN";

/// How often signals are looked for.
const POLL: Duration = Duration::from_millis(50);

/// Serves until a signal arrives, or makes a token.
#[expect(clippy::print_stdout, reason = "the token is what the command is for")]
pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    if let (Some(name), Some(file)) = (&args.new_token, &args.tokens) {
        println!("{}", add_token(file, name, args.role.into())?);
        return Ok(());
    }
    let Some(data) = &args.data else { bail!("--data: a folder is needed") };
    interrupt::install();
    let options = ServeOptions {
        models: args.model.iter().map(|model| (model.name.clone(), model.run.clone())).collect(),
        database: args.database.clone(),
        listen: args.listen,
        dicomweb: args.dicomweb.clone(),
        rules: args.rules.clone(),
        poll: Duration::from_secs(args.poll.into()),
        tokens: args.tokens.clone(),
        allowed_origins: args.allow_origin.clone(),
        no_auth: args.no_auth,
        parallel_jobs: args.parallel_jobs.into(),
        workers: args.nats.clone().map(|url| StudyQueue {
            url,
            token: env::var(NATS_TOKEN).ok(),
            name: args.queue.clone(),
        }),
        max_upload: args.max_upload << 30,
        keep_results: (args.keep_results > 0)
            .then(|| Duration::from_secs(u64::from(args.keep_results) * 24 * 3600)),
        demo: args.demo,
        device: args.device.open()?,
        ..ServeOptions::new(data.clone())
    };
    let server = Server::start(&options)?;
    tracing::info!("listening on http://{}", server.address());
    server.run(async {
        while !interrupt::is_requested() {
            tokio::time::sleep(POLL).await;
        }
    })?;
    tracing::info!("stopped; jobs that were running will run again");
    Ok(())
}
