//! `bipvl describe`: generates descriptions of the classes of a data set, or lints a description file.

use std::{env, ops::ControlFlow, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, Modality},
    describe::{
        self, Finding, GeneratedDescription, Severity, Source, Strategy,
        endpoint::{DatasetContext, Endpoint, EndpointConfig, EndpointError},
        lint,
    },
    text::{Descriptions, Tokenizer},
};
use bipvl_io::atomic_write;

use crate::args::{DescribeArgs, DescribeCommand, DescribeSource, LintArgs};

/// Generates or lints descriptions.
pub(crate) fn run(args: &DescribeArgs) -> Result<()> {
    if let Some(DescribeCommand::Lint(args)) = &args.command {
        return lint_file(args);
    }
    // The parser requires both without a sub-command.
    let data = args.data.as_deref().context("--data is missing")?;
    write(data, args.out.as_deref().context("--out is missing")?, args)
}

/// Prints the findings of a file.
#[expect(clippy::print_stdout, reason = "the findings are what the command is for")]
fn lint_file(args: &LintArgs) -> Result<()> {
    let (file, data) = (&args.file, args.data.as_deref());
    let descriptions = Descriptions::read_unchecked(file)?;
    let dataset = data.map(Dataset::open).transpose()?;
    let modality = dataset.as_ref().map(|dataset| dataset.modality);
    let findings = findings(&descriptions, modality, args.tokenizer.as_deref())?;
    for finding in &findings {
        println!("{finding}");
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
        count => bail!("{}: the descriptions have errors: {count}", file.display()),
    }
}

/// Writes a description of every class to a new file and lints it.
fn write(data: &Path, out: &Path, args: &DescribeArgs) -> Result<()> {
    if out.exists() {
        bail!("{}: the file exists already; remove it or choose another name", out.display());
    }
    let dataset = Dataset::open(data)?;
    let generated = generate(&dataset, args)?;
    atomic_write(out, describe::to_toml(&dataset.name, &generated).as_bytes())?;
    tracing::info!("{}: {} classes; review them before training", out.display(), generated.len());
    let missing = generated.iter().filter(|class| class.source.is_none());
    let missing: Vec<&str> = missing.map(|class| class.description.class.as_str()).collect();
    if !missing.is_empty() {
        bail!(
            "{}: no built-in text and no measured case (see --cases) for: {}; their sentences are left empty, write \
             them before training",
            out.display(),
            missing.join(", ")
        );
    }
    let descriptions =
        Descriptions { classes: generated.into_iter().map(|class| class.description).collect() };
    let findings = findings(&descriptions, Some(dataset.modality), args.tokenizer.as_deref())?;
    for finding in &findings {
        tracing::warn!("{finding}");
    }
    fail_on_errors(out, &findings)
}

fn generate(dataset: &Dataset, args: &DescribeArgs) -> Result<Vec<GeneratedDescription>> {
    let strategy = match (args.source, &args.endpoint, &args.model) {
        (None | Some(DescribeSource::Endpoint), Some(url), Some(model)) => {
            return from_endpoint(dataset, url, model, args);
        }
        (Some(DescribeSource::Builtin), ..) => Strategy::Builtin,
        (Some(DescribeSource::Statistics), ..) => Strategy::Statistics,
        _ => Strategy::BuiltinOrStatistics,
    };
    let on_case = |case: &Case| {
        tracing::info!("measuring {}", case.id);
        ControlFlow::Continue(())
    };
    let generated = describe::generate(dataset, strategy, args.cases as usize, on_case);
    generated.map_err(|error| match error {
        describe::Error::NoBuiltin { .. } => anyhow::Error::new(error)
            .context("--source builtin; without --source, other classes are measured"),
        other => other.into(),
    })
}

fn from_endpoint(
    dataset: &Dataset,
    url: &str,
    model: &str,
    args: &DescribeArgs,
) -> Result<Vec<GeneratedDescription>> {
    let key = env::var(&args.key_env).ok().filter(|key| !key.is_empty());
    let timeout = Duration::from_secs(args.timeout_s);
    let endpoint =
        Endpoint::new(EndpointConfig { url: url.to_owned(), model: model.to_owned(), key, timeout });
    let endpoint = endpoint.context("--endpoint")?;
    let context = DatasetContext::from(dataset);
    let describe = |class: &String| {
        tracing::info!("{class}: request to {model}");
        let description = endpoint.describe(class, &context).map_err(|error| match error {
            describe::Error::Endpoint {
                reason: EndpointError::AccessDenied { has_key: false, .. }, ..
            } => anyhow::Error::new(error).context(format!("no key in {}, see --key-env", args.key_env)),
            other => other.into(),
        })?;
        Ok(GeneratedDescription::new(description, Source::Model(model.to_owned())))
    };
    dataset.label_schema.names().iter().map(describe).collect()
}
