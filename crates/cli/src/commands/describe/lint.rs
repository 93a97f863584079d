//! `bipvl describe lint`: reports errors and warnings in a description file.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl::{
    data::{Dataset, Modality},
    describe::{Finding, Severity, lint},
    text::{Descriptions, Tokenizer},
};

use crate::args::LintArgs;

/// Prints the findings of a file.
#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
pub(super) fn run(args: &LintArgs) -> Result<()> {
    let (file, data) = (&args.file, args.data.as_deref());
    let descriptions = Descriptions::read_unchecked(file)?;
    let dataset = data.map(Dataset::open).transpose()?;
    let modality = dataset.as_ref().map(|dataset| dataset.modality);
    let findings = findings(&descriptions, modality, args.tokenizer.as_deref())?;
    for finding in &findings {
        println!("{}: {finding}", finding.severity);
    }
    fail_on_errors(file, &findings)?;
    if let Some(dataset) = &dataset {
        descriptions.for_classes(file, &dataset.label_schema.names())?;
    }
    // Checks of a training that the linter does not have.
    let count = Descriptions::read(file)?.classes.len();
    println!("{}: {count} classes, {} warnings, no errors", file.display(), findings.len());
    Ok(())
}

/// Lints descriptions; a tokenizer counts the tokens.
pub(super) fn findings(
    descriptions: &Descriptions,
    modality: Option<Modality>,
    tokenizer: Option<&Path>,
) -> Result<Vec<Finding>> {
    let tokenizer = tokenizer.map(Tokenizer::from_folder).transpose()?;
    Ok(lint(descriptions, modality, tokenizer.as_ref()))
}

/// An error if any finding is one.
pub(super) fn fail_on_errors(file: &Path, findings: &[Finding]) -> Result<()> {
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        count => bail!("{}: the descriptions have errors: {count}", file.display()),
    }
}
