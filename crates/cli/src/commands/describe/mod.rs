//! `bipvl describe`: generates descriptions of the classes of a data set.

mod lint;

use std::{env, ops::ControlFlow, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset},
    describe::{
        self, GeneratedDescription, Severity, Strategy,
        endpoint::{Endpoint, EndpointConfig, EndpointError},
    },
    text::Descriptions,
};
use bipvl_io::atomic_write;

use crate::args::{DescribeArgs, DescribeCommand, DescribeSource};

/// Generates or lints descriptions.
pub(crate) fn run(args: &DescribeArgs) -> Result<()> {
    if let Some(DescribeCommand::Lint(args)) = &args.command {
        return lint::run(args);
    }
    // The parser requires both without a sub-command.
    let data = args.data.as_deref().context("--data is missing")?;
    write(data, args.out.as_deref().context("--out is missing")?, args)
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
    let missing = describe::classes_without_source(&generated);
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
    let findings = lint::findings(&descriptions, Some(dataset.modality), args.tokenizer.as_deref())?;
    for finding in &findings {
        match finding.severity {
            Severity::Error => tracing::error!("{finding}"),
            Severity::Warning => tracing::warn!("{finding}"),
        }
    }
    lint::fail_on_errors(out, &findings)
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
    let on_class = |class: &str| {
        tracing::info!("{class}: request to {model}");
        ControlFlow::Continue(())
    };
    let generated = endpoint.context("--endpoint")?.describe_all(dataset, on_class);
    generated.map_err(|error| match error {
        describe::Error::Endpoint { reason: EndpointError::AccessDenied { has_key: false, .. }, .. } => {
            anyhow::Error::new(error).context(format!("no key in {}, see --key-env", args.key_env))
        }
        other => other.into(),
    })
}
