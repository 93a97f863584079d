//! Creates a prompted run from the flags.

use anyhow::{Result, anyhow};
use bipvl::{
    prompts::{PromptRun, PromptRunSpec, Transfer, run::TransferReport, sets::OpenSet},
    text::Synonyms,
};

use super::{prompted::open_sets, prompted_config::config_file};
use crate::args::TrainArgs;

/// The new run and its data sets.
pub(super) fn create(args: &TrainArgs) -> Result<(PromptRun, Vec<OpenSet>)> {
    let config = config_file(args)?.resolve()?;
    let sets = open_sets(&config)?;
    let from = args.from.as_deref().map(Transfer::open).transpose()?;
    let synonyms = Synonyms::builtin();
    let spec = PromptRunSpec {
        config,
        sets: &sets,
        synonyms: &synonyms,
        source: args.config.clone(),
        from: from.as_ref(),
    };
    let run = PromptRun::create(&args.out, spec).map_err(with_hint)?;
    if let Some(from) = &from {
        report_transfer(&run.take_over(from)?, from);
    }
    Ok((run, sets))
}

fn with_hint(error: bipvl::prompts::Error) -> anyhow::Error {
    match error {
        bipvl::prompts::Error::Train(error) => super::with_hint(error),
        error => anyhow!(error),
    }
}

fn report_transfer(report: &TransferReport, from: &Transfer) {
    let from = from.dir.display();
    tracing::info!(
        "{from}: tokenizer, sizes of the text encoder and weights of {} were taken over",
        report.taken.join(", ")
    );
    for (block, count) in &report.random {
        tracing::info!(
            "{from}: {count} tensors of {block} have other names or sizes and start from random weights"
        );
    }
}
