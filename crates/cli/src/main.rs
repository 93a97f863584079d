//! The bipvl program: parse, run one command, turn an error into one message and an exit code.

mod args;
mod commands;
mod experiments;
mod progress;
mod tensorboard;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, LogFormat};

/// The command failed; wrong arguments give 2, from the parser.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    bipvl_kernels::tune_malloc();
    let cli = Cli::parse();
    start_log(cli.log_format);
    limit_threads(cli.threads);
    let result = match cli.command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Describe(args) => commands::describe::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Ablate(args) => commands::ablate::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Probe(args) => commands::probe::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn start_log(format: LogFormat) {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => log.without_time().with_ansi(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// The main thread is one of them: it takes part in every operation instead of waking another for it and waiting.
/// So no thread that it waits for may use the pool, in which on one thread nobody else works.
fn limit_threads(threads: Option<usize>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).use_current_thread();
    // It fails only when a pool exists already, and nothing has run yet.
    let _ = pool.build_global();
}
