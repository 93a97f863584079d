//! `bipvl completions`: prints a shell completion script.

use std::io;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};

/// Prints the script for the shell.
pub(crate) fn run(args: &CompletionsArgs) {
    clap_complete::generate(args.shell, &mut Cli::command(), "bipvl", &mut io::stdout());
}
