//! `bipvl import`: imports pretrained weights and reports every tensor.

use anyhow::Result;
use bipvl::nn::interop::{ImportReport, PretrainedWeights};

use crate::{args::ImportArgs, paths::ensure_keeps_source};

/// Reports every tensor as used, missing or unused, and writes the used ones.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(crate) fn run(args: &ImportArgs) -> Result<()> {
    if let Some(out) = &args.out {
        ensure_keeps_source(out, &args.source)?;
    }
    let (imported, report) = if args.source.is_dir() {
        PretrainedWeights::from_bert(&args.source)?
    } else {
        PretrainedWeights::from_monai(&args.source, args.merging.into())?
    };
    println!("{}", summary(&report));
    if let Some(out) = &args.out {
        imported.save(out)?;
        tracing::info!("{}", out.display());
    }
    Ok(())
}

fn summary(report: &ImportReport) -> String {
    let lists = [("used", &report.used), ("missing", &report.missing), ("unused", &report.unused)];
    let lines =
        lists.iter().flat_map(|(state, names)| names.iter().map(move |name| format!("{state:<8} {name}")));
    let counts = lists.map(|(state, names)| format!("{} {state}", names.len())).join(", ");
    lines.chain([counts]).collect::<Vec<_>>().join("\n")
}
