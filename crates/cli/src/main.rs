//! The `bipvl` program: parses the command line, runs one command, and reports its error and exit code.

mod args;
mod commands;
mod interrupt;
mod ledger;
mod paths;
mod process_memory;
mod progress;
mod ranks;
mod recipes;
mod remote;
mod shard;
mod shell;

use std::process::ExitCode;

use anyhow::Result;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use args::{Command, LogFormat};
use remote::Transfers;

/// Exit code of a runtime error; the argument parser exits with 2 on a usage error.
const RUNTIME_ERROR: u8 = 1;

fn main() -> ExitCode {
    bipvl_kernels::tune_malloc();
    report_panics();
    let (cli, urls) = remote::parse();
    let threads = ranks::join(&cli.command);
    start_log(cli.log_format);
    limit_threads(cli.threads.or(threads.as_ref().ok().copied().flatten()), &cli.command);
    let result = threads.and_then(|_| Transfers::begin(urls)).and_then(|transfers| {
        let result = run(cli.command);
        // Also what a command that failed has written.
        let stored = transfers.finish();
        result.and(stored)
    });
    let exit_code = match &result {
        Ok(()) => 0,
        Err(error) if interrupt::is_requested() => {
            tracing::warn!("{error:#}");
            interrupt::EXIT_CODE
        }
        Err(error) => {
            tracing::error!("{error:#}");
            RUNTIME_ERROR
        }
    };
    ranks::leave(exit_code == RUNTIME_ERROR);
    ExitCode::from(exit_code)
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Describe(args) => commands::describe::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Ablate(args) => commands::ablate::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Merge(args) => commands::merge::run(&args),
        Command::Slurm(args) => commands::slurm::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Worker(args) => commands::worker::run(&args),
        Command::Submit(args) => commands::submit::run(&args),
        Command::Vocabulary(args) => commands::vocabulary::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Probe(args) => commands::probe::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Completions(args) => {
            commands::completions::run(&args);
            Ok(())
        }
        Command::Man(args) => commands::man::run(&args),
    }
}

/// Reports a panic, unless it is none of this program: `bipvl info RUN | head` closes the pipe, and what a decoder of
/// pixel data does with damage becomes an error.
fn report_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        if !bipvl_dicom::is_decoding() {
            report(panic);
        }
    }));
}

fn start_log(format: LogFormat) {
    // What libraries say of single elements, images and connections; what matters of it is an error or a message of ours.
    let dicom = ["dicom_object", "dicom_parser", "dicom_encoding", "dicom_core", "dicom_pixeldata", "jpeg2k"];
    let quiet = dicom.into_iter().chain(["async_nats"]);
    let level = if ranks::is_main() { LevelFilter::INFO } else { LevelFilter::ERROR };
    let levels =
        Targets::new().with_default(level).with_targets(quiet.map(|target| (target, LevelFilter::OFF)));
    // A log that nobody reads any more must not end a prediction.
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Text => registry.with(log.without_time().with_ansi(false).with_filter(levels)).init(),
        LogFormat::Json => registry.with(log.json().flatten_event(true).with_filter(levels)).init(),
    }
}

/// Sizes the global Rayon pool. The main thread is one of its workers and takes part in every operation, so it must
/// never block on a thread that uses the pool; that of a server does nothing else, and stays out of the pool.
fn limit_threads(threads: Option<usize>, command: &Command) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    let pool = if matches!(command, Command::Serve(_)) { pool } else { pool.use_current_thread() };
    // This fails only if a global pool exists already.
    let _ = pool.build_global();
}
