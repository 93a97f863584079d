//! The commands that the demo runs, each printed as a user would type it.

use std::path::Path;

use anyhow::{Result, bail};
use bipvl_io::atomic_write;
use clap::Parser;

use crate::{
    args::{Cli, Command},
    commands::{evaluate, predict, probe as probe_command, train},
    interrupt,
};

/// Trains on `data` into `run`.
pub(super) fn train(
    folder: &Path,
    descriptions: &str,
    config: &str,
    steps: Option<usize>,
    val_fold: Option<&str>,
) -> Result<()> {
    let path = |name: &str| folder.join(name);
    atomic_write(&path("descriptions.toml"), descriptions.as_bytes())?;
    atomic_write(&path("config.toml"), config.as_bytes())?;
    let mut flags = vec!["--config".to_owned(), display(&path("config.toml"))];
    flags.extend(val_fold.into_iter().flat_map(|fold| ["--val-fold".to_owned(), fold.to_owned()]));
    flags.extend(steps.into_iter().flat_map(|steps| ["--steps".to_owned(), steps.to_string()]));
    let [data, descriptions, out] = ["data", "descriptions.toml", "run"].map(|name| display(&path(name)));
    let required = ["train", "--data", &data, "--descriptions", &descriptions, "--out", &out];
    run(required.into_iter().map(ToOwned::to_owned).chain(flags).collect())
}

/// Trains on the data sets of `config.toml` into `run`.
pub(super) fn train_prompts(folder: &Path, steps: Option<usize>, seed: Option<u64>) -> Result<()> {
    let [config, out] = ["config.toml", "run"].map(|name| display(&folder.join(name)));
    let mut command = ["train", "--config", &config, "--out", &out].map(ToOwned::to_owned).to_vec();
    command.extend(steps.into_iter().flat_map(|steps| ["--steps".to_owned(), steps.to_string()]));
    command.extend(seed.into_iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]));
    run(command)
}

/// Segments a case of `data` by prompts into the folder `predictions`.
pub(super) fn predict_prompts(folder: &Path, image: &str, prompts: &[&String]) -> Result<()> {
    let [run_folder, out, image] = ["run".to_owned(), "predictions".to_owned(), format!("data/{image}")]
        .map(|name| display(&folder.join(name)));
    let mut command = ["predict", "--model", &run_folder, "--out", &out].map(ToOwned::to_owned).to_vec();
    command.extend(prompts.iter().flat_map(|prompt| ["--prompt".to_owned(), (*prompt).clone()]));
    command.push(image);
    run(command)
}

/// Asks the run about its test cases and writes the report into the folder `probe`.
pub(super) fn probe(folder: &Path, unseen: &[String]) -> Result<()> {
    let [run_folder, out] = ["run", "probe"].map(|name| display(&folder.join(name)));
    let mut command = ["probe", "--model", &run_folder, "--out", &out].map(ToOwned::to_owned).to_vec();
    command.extend(unseen.iter().flat_map(|phrase| ["--unseen".to_owned(), phrase.clone()]));
    run(command)
}

/// Segments the test cases into the folder `predictions`.
pub(super) fn predict(folder: &Path, predictions: &str, case_descriptions: Option<&str>) -> Result<()> {
    let [run_folder, out, images] =
        ["run", predictions, "data/imagesTs"].map(|name| display(&folder.join(name)));
    let mut command = ["predict", "--model", &run_folder, "--out", &out].map(ToOwned::to_owned).to_vec();
    if let Some(name) = case_descriptions {
        command.extend(["--case-descriptions".to_owned(), display(&folder.join(name))]);
    }
    command.push(images);
    run(command)
}

/// Scores the folder `predictions` into the file `scores`.
pub(super) fn evaluate(folder: &Path, predictions: &str, scores: &str) -> Result<()> {
    let [predictions, references, scores] =
        [predictions, "data/labelsTs", scores].map(|name| display(&folder.join(name)));
    let command = ["evaluate", "--pred", &predictions, "--ref", &references, "--json", &scores];
    run(command.map(ToOwned::to_owned).to_vec())
}

/// Points to the results and to what comes next.
pub(super) fn finish(folder: &Path) {
    tracing::info!("report: {} (open it in a browser)", folder.join("run/report.html").display());
    tracing::info!("label maps: {}", folder.join("predictions").display());
    tracing::info!("next: `bipvl data check DIR` on your own data set prints the command to train on it");
}

/// Runs one command of the program, unless a signal has arrived.
fn run(arguments: Vec<String>) -> Result<()> {
    if interrupt::is_requested() {
        bail!("interrupted");
    }
    let line: Vec<String> = arguments.iter().map(|argument| crate::shell::quote(argument)).collect();
    tracing::info!("$ bipvl {}", line.join(" "));
    let arguments = std::iter::once("bipvl".to_owned()).chain(arguments);
    match Cli::try_parse_from(arguments)?.command {
        Command::Train(args) => train::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Probe(args) => probe_command::run(&args),
        other => bail!("not a step of the demo: {other:?}"),
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}
