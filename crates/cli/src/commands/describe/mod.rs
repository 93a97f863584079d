//! `bipvl describe`: writes descriptions of the classes of a data set, or looks through some.

mod endpoint;
mod http;

use std::{cell::OnceCell, path::Path};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, Modality},
    describe::{DatasetStatistics, Finding, Severity, builtin_description, lint, prompt_title},
    text::{ClassName, Concept, Description, Descriptions, PAPER_CONCEPTS, Tokenizer},
};
use bipvl_io::atomic_write;

use crate::args::{DescribeArgs, DescribeCommand, DescribeSource, LintArgs};
use endpoint::Endpoint;

/// Writes or lints descriptions.
pub(crate) fn run(args: &DescribeArgs) -> Result<()> {
    if let Some(DescribeCommand::Lint(args)) = &args.command {
        return lint_file(args);
    }
    // The parser requires both without a sub-command.
    let data = args.data.as_deref().context("--data is missing")?;
    write(data, args.out.as_deref().context("--out is missing")?, args)
}

/// Prints what the linter finds in a file.
#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
fn lint_file(args: &LintArgs) -> Result<()> {
    let (file, data) = (&args.file, args.data.as_deref());
    let descriptions = Descriptions::read_unchecked(file)?;
    let dataset = data.map(Dataset::open).transpose()?;
    let findings =
        findings(&descriptions, dataset.as_ref().map(|dataset| dataset.modality), args.tokenizer.as_deref())?;
    for finding in &findings {
        println!("{finding}");
    }
    fail_on_errors(file, &findings)?;
    if let Some(dataset) = &dataset {
        descriptions.for_classes(file, &dataset.label_schema.names())?;
    }
    // What a training would refuse and the linter let pass is refused here too.
    let count = Descriptions::read(file)?.classes.len();
    println!("{}: {count} classes, {} warnings, no errors", file.display(), findings.len());
    Ok(())
}

fn findings(
    descriptions: &Descriptions,
    modality: Option<Modality>,
    tokenizer: Option<&Path>,
) -> Result<Vec<Finding>> {
    let tokenizer = tokenizer.map(Tokenizer::from_folder).transpose()?;
    Ok(lint(descriptions, modality, tokenizer.as_ref()))
}

fn fail_on_errors(file: &Path, findings: &[Finding]) -> Result<()> {
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 => Ok(()),
        count => bail!("{}: expected descriptions without errors, found {count}", file.display()),
    }
}

/// Describes every class, writes the file, and looks through it.
fn write(data: &Path, out: &Path, args: &DescribeArgs) -> Result<()> {
    if out.exists() {
        bail!("{}: expected a new file, found one; remove it, or choose another name", out.display());
    }
    let dataset = Dataset::open(data)?;
    let (described, sources): (Vec<_>, Vec<_>) = describe(&dataset, args)?.into_iter().unzip();
    let gaps: Vec<&str> = dataset
        .label_schema
        .classes()
        .iter()
        .zip(&sources)
        .filter(|(_, it)| it.is_none())
        .map(|(class, _)| class.name.as_str())
        .collect();
    let descriptions = Descriptions { classes: described };
    let head = head(&dataset, &sources);
    let text = toml::to_string(&descriptions).context("descriptions can be written as TOML")?;
    atomic_write(out, format!("{head}\n{text}").as_bytes())?;
    tracing::info!("{}: {} classes; read them before you train", out.display(), sources.len());
    if !gaps.is_empty() {
        bail!(
            "{}: expected classes that are known or in one of the measured cases (see --cases), found {}; their \
             texts are left empty in the file, write them before you train",
            out.display(),
            gaps.join(", ")
        );
    }
    let findings = findings(&descriptions, Some(dataset.modality), args.tokenizer.as_deref())?;
    for finding in &findings {
        tracing::warn!("{finding}");
    }
    fail_on_errors(out, &findings)
}

/// The comment above the descriptions: where each comes from, and what is missing.
fn head(dataset: &Dataset, sources: &[Option<String>]) -> String {
    let mut lines = vec![format!("# Descriptions of {}, written by `bipvl describe`.", dataset.name)];
    let mut named: Vec<&Option<String>> = Vec::new();
    for source in sources {
        if named.contains(&source) {
            continue;
        }
        named.push(source);
        let classes =
            dataset.label_schema.classes().iter().zip(sources).filter(|(_, other)| *other == source);
        let classes: Vec<&str> = classes.map(|(class, _)| class.name.as_str()).collect();
        let classes = classes.join(", ");
        lines.push(match source {
            Some(source) => format!("# From {source}: {classes}."),
            None => format!(
                "# MISSING: {classes}. No source told of them; write their sentences before you train."
            ),
        });
    }
    // A name with a line break must not end the comment.
    lines.iter().map(|line| line.replace(['\n', '\r'], " ") + "\n").collect()
}

/// A class of which no source tells: its name and title, and concepts without a sentence.
fn gap(class: &str, modality: Modality) -> Description {
    let empty = |name: &str| Concept { name: name.to_owned(), sentence: String::new() };
    let title = prompt_title(&ClassName::parse(class).to_phrase(), modality);
    Description { class: class.to_owned(), title, concepts: PAPER_CONCEPTS.map(empty).into() }
}

/// Each class in words, and where the words come from; no source where there are none.
fn describe(dataset: &Dataset, args: &DescribeArgs) -> Result<Vec<(Description, Option<String>)>> {
    let endpoint = args.endpoint.as_ref().zip(args.model.as_ref());
    let source = args.source.or(endpoint.map(|_| DescribeSource::Endpoint));
    let endpoint = match endpoint.filter(|_| source == Some(DescribeSource::Endpoint)) {
        Some((url, model)) => Some(Endpoint::new(url, model, &args.key_env, args.timeout_s)?),
        None => None,
    };
    // Known classes need no look at any case.
    let statistics = OnceCell::new();
    let measured = |index: usize| -> Result<(Description, Option<String>)> {
        if statistics.get().is_none() {
            // Nobody else sets it.
            let _ = statistics.set(measure(dataset, args.cases as usize)?);
        }
        let statistics: &DatasetStatistics = statistics.get().expect("it was set above");
        Ok(match statistics.describe(index) {
            Some(description) => (description, Some(format!("measures of {} cases", statistics.num_cases))),
            None => (gap(&dataset.label_schema.names()[index], dataset.modality), None),
        })
    };
    let describe = |(index, class): (usize, &String)| {
        if let Some(endpoint) = &endpoint {
            tracing::info!("{class}: asking {}", endpoint.model());
            let description = endpoint.describe(class, dataset)?;
            return Ok((description, Some(format!("the model {}", endpoint.model()))));
        }
        let knowledge = builtin_description(class, &dataset.name, dataset.modality)
            .map(|description| (description, Some("built-in knowledge".to_owned())));
        match (source, knowledge) {
            (None | Some(DescribeSource::Builtin), Some(known)) => Ok(known),
            (Some(DescribeSource::Builtin), None) => bail!(
                "--source builtin: expected names of known structures, found \"{class}\"; without --source it is measured"
            ),
            _ => measured(index),
        }
    };
    dataset.label_schema.names().iter().enumerate().map(describe).collect()
}

fn measure(dataset: &Dataset, max_cases: usize) -> Result<DatasetStatistics> {
    let on_case = |case: &Case| tracing::info!("measuring {}", case.id);
    Ok(DatasetStatistics::measure(dataset, max_cases, on_case)?)
}
