//! `bipvl man`: writes man pages.

use std::fs;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::args::{Cli, ManArgs};

/// Writes one page per command.
pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let folder = &args.out;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| folder.display().to_string())?;
    tracing::info!("man pages in {}", folder.display());
    Ok(())
}
