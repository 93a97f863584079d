//! `bipvl demo`: draws phantoms, trains a small model, segments new phantoms, evaluates, and writes a report.

mod ambiguous;
mod ambiguous_cases;
mod bodies;
mod channels;
mod folder;
mod kinds;
mod phantoms;
mod prompts;
mod served;
mod steps;

use anyhow::Result;

use crate::{args::DemoArgs, interrupt};

pub(crate) use kinds::Kinds;

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    interrupt::install();
    folder::prepare(&args.out)?;
    match args {
        DemoArgs { channels: true, .. } => channels::run(args),
        DemoArgs { ambiguous: true, .. } => ambiguous::run(args),
        DemoArgs { serve: true, .. } => {
            prompts::run(args)?;
            served::run(&args.out)
        }
        _ => prompts::run(args),
    }
}
