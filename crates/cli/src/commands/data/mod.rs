//! `bipvl data check`: reports the content of a data set and its errors, and how to start a training.

mod import;
mod prompted;
mod series;
mod source;

use std::{fmt::Write as _, path::Path};

use anyhow::{Result, bail};
use bipvl::{
    config::{Config, SPLIT_SEED},
    data::{Case, Dataset, DatasetReport, Error, Fold, Split},
    text::Descriptions,
};
use serde::Serialize;

use crate::{
    args::{CheckArgs, DataArgs, DataCommand, missing_argument},
    progress,
};
use source::{Source, command, datasets};

/// The report of one data set and the command that starts a training; a folder may hold two data sets.
#[derive(Serialize)]
struct Output {
    #[serde(flatten)]
    report: DatasetReport,
    command: String,
}

/// Runs the subcommand.
pub(crate) fn run(args: &DataArgs) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check(args),
        DataCommand::Series(args) => series::list(args),
        DataCommand::Import(args) => import::run(args),
    }
}

/// Checks the folder and prints the report; fails if there are errors.
#[expect(clippy::print_stdout, reason = "printing is the purpose of the command")]
fn check(args: &CheckArgs) -> Result<()> {
    if let Some(file) = prompted::config(args)? {
        return prompted::check(args, &file);
    }
    let Some(data) = &args.data else { missing_argument("<DIR>") };
    let mut outputs = Vec::new();
    for (dataset, source) in datasets(data, args.config.as_deref())? {
        let config = source.config(&dataset);
        let preprocess = config.as_ref().ok().map(|(config, _)| &config.preprocess);
        let bar = progress::bar("checking", dataset.cases.len() + dataset.test.len());
        let mut report = DatasetReport::new(&dataset, preprocess, &|done| bar.set_position(done as u64));
        bar.finish_and_clear();
        report.errors.extend(invalid_descriptions(&dataset));
        let mut command = command(data, &source);
        match config.and_then(|(config, path)| split(&dataset, &config, &path)) {
            Ok((split, fold)) => {
                report.add_split(&split, fold);
                if matches!(source, Source::Defaults) && fold != DEFAULT_FOLD {
                    write!(command, " --val-fold {}/{}", fold.index, fold.count)?;
                }
            }
            Err(error) => report.errors.push(format!("{error:#}")),
        }
        outputs.push(Output { report, command });
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outputs)?);
    } else {
        let text =
            |output: &Output| format!("{}\nstart the training with\n  {}", output.report, output.command);
        println!("{}", outputs.iter().map(text).collect::<Vec<_>>().join("\n\n\n"));
    }
    match outputs.iter().map(|output| output.report.num_errors()).sum::<usize>() {
        0 => Ok(()),
        1 => bail!("{}: 1 error found", data.display()),
        count => bail!("{}: {count} errors found", data.display()),
    }
}

/// The fold that validates unless a configuration has another.
const DEFAULT_FOLD: Fold = Fold { index: 0, count: 5 };

/// The split of a training; of few patients into as many folds as there are patients.
fn split(dataset: &Dataset, config: &Config, path: &Path) -> Result<(Split, Fold)> {
    let (index, count) = config.data.parse_fold(path)?;
    let split = |fold: Fold| Ok((Split::new(dataset, &config.data.split, fold, SPLIT_SEED, path)?, fold));
    match split(Fold { index, count }) {
        Err(Error::TooFewPatients { patients, .. })
            if patients >= 2 && Fold { index, count } == DEFAULT_FOLD =>
        {
            Ok(split(Fold { index: 0, count: patients })?)
        }
        result => Ok(result?),
    }
}

/// Errors of the descriptions of single cases.
fn invalid_descriptions(dataset: &Dataset) -> Vec<String> {
    let files = dataset.cases.iter().chain(&dataset.test).filter_map(Case::descriptions_path);
    files.filter_map(|file| Descriptions::read(&file).err()).map(|error| error.to_string()).collect()
}
