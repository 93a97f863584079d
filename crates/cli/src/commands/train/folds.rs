//! `bipvl train --folds N`: trains a run per fold, then scores all cases together, each as predicted by the run that
//! was not trained on it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, Split},
    infer::Folds,
    run::{RunDir, RunSpec},
    train::checkpoint::read_progress,
};
use bipvl_io::atomic_write;
use bipvl_metrics::MetricConfig;
use bipvl_report::{Report, evaluate::CaseFiles, folds::FoldScores, history::History, table};
use burn::tensor::Device;

use super::{
    command_line, dataset_overrides, open_device, run_spec, run_training, time_budget, train_options,
    warn_of_added_cases,
};
use crate::{
    args::TrainArgs,
    commands::{
        evaluate::{print_table, score, write_scores},
        evaluate_run::{draw_worst, evaluate_run},
        memory,
    },
};

/// One run of a cross-validation.
struct Fold {
    run: RunDir,
    split: Split,
}

/// Trains and evaluates the unfinished folds, then scores all cases together.
pub(super) fn run(args: &TrainArgs) -> Result<()> {
    let began = Instant::now();
    let device = open_device(args)?;
    let budget = time_budget(args.max_minutes)?;
    let (folds, dataset) = if let Some(count) = args.folds {
        let dataset = Dataset::read(&args.data, &dataset_overrides(args)?)?;
        (create_all(args, &dataset, count.into())?, dataset)
    } else {
        let folds = Folds::read(&args.out)?;
        let first = RunDir::open(&folds.run_dirs(&args.out)[0])?;
        (folds, Dataset::read(&args.data, &first.config.data.dataset_overrides())?)
    };
    let opened = folds.run_dirs(&args.out).into_iter().map(|dir| Fold::open(args, dir, &dataset));
    let opened: Vec<Fold> = opened.collect::<Result<_>>()?;
    warn_of_added_cases(&opened[0].run, &dataset)?;
    let mut is_first = true;
    for fold in &opened {
        if fold.is_evaluated()? {
            continue;
        }
        let _lock = fold.run.lock()?;
        let left = budget.map(|budget| budget.saturating_sub(began.elapsed()));
        // However short the time is, every call makes at least one step.
        if is_first || left.is_none_or(|left| !left.is_zero()) {
            fold.train(&dataset, left, &device)?;
        }
        is_first = false;
        if !fold.is_trained()? {
            tracing::warn!("{}: time is up; continue with --resume", fold.run.dir().display());
            return Ok(());
        }
        evaluate_run(&fold.run, &fold.split.val, &device, &[("command", command_line())])?;
    }
    memory::log_peak(args.memory_budget);
    summarize(args, &opened)
}

/// Creates a run per fold before any is trained, and the file with their number.
fn create_all(args: &TrainArgs, dataset: &Dataset, count: usize) -> Result<Folds> {
    let labeled = dataset.cases.iter().filter(|case| case.labels.is_some()).count();
    if labeled < count {
        bail!("--folds: {count} folds need as many labeled cases, but there are {labeled}");
    }
    if args.out.join("config.toml").exists() || Folds::exists_in(&args.out) {
        bail!("{} already contains a run; --resume continues it", args.out.display());
    }
    let folds = Folds { count };
    // The folds differ only in their validation cases.
    let val_fold = Some(format!("0/{count}"));
    let mut spec: RunSpec = run_spec(&TrainArgs { val_fold, ..args.clone() }, dataset)?;
    for (fold, dir) in folds.run_dirs(&args.out).into_iter().enumerate() {
        spec.config.data.fold = format!("{fold}/{count}");
        RunDir::create(&dir, &spec, dataset)?;
    }
    folds.write(&args.out)?;
    Ok(folds)
}

impl Fold {
    fn open(args: &TrainArgs, dir: PathBuf, dataset: &Dataset) -> Result<Self> {
        let mut run = RunDir::open(&dir)?;
        // All folds share the preprocessed cases.
        run.cache = args.out.join("cache");
        let split = run.split(dataset)?;
        Ok(Self { run, split })
    }

    fn is_trained(&self) -> Result<bool> {
        let last = self.run.last_checkpoint();
        Ok(last.exists() && self.run.config.train.is_finished(&read_progress(&last)?))
    }

    /// The report is the last file of an evaluation.
    fn is_evaluated(&self) -> Result<bool> {
        Ok(self.is_trained()? && self.run.path("report.html").exists())
    }

    fn train(&self, dataset: &Dataset, left: Option<Duration>, device: &Device) -> Result<()> {
        let (train, val) = (self.split.train.len(), self.split.val.len());
        tracing::info!("{}: {train} training and {val} validation cases", self.run.dir().display());
        run_training(&self.run, dataset, &self.split, train_options(left, device))
    }

    /// The prediction of this run and the reference of a case.
    fn pair(&self, case: &Case) -> Result<CaseFiles> {
        let prediction = self.run.path("predictions").join(format!("{}.nii.gz", case.id));
        let reference = case.labels.clone().context("a validation case has labels")?;
        Ok(CaseFiles { case: case.id.clone(), prediction, reference })
    }
}

/// Writes the scores of all cases and of each fold as JSON, Markdown and HTML.
fn summarize(args: &TrainArgs, folds: &[Fold]) -> Result<()> {
    let config = &folds[0].run.config;
    let schema = &config.data.label_schema;
    let (labels, classes) = (config.data.class_labels(), schema.names());
    let pairs = folds.iter().flat_map(|fold| fold.split.val.iter().map(|case| fold.pair(case)));
    let pairs = pairs.collect::<Result<Vec<CaseFiles>>>()?;
    let metrics = MetricConfig { ignore_label: schema.ignore(), ..MetricConfig::default() };
    let scores = score(&pairs, &labels, schema.remap(), &metrics)?;
    let by_fold = FoldScores::new(&metrics, &scores, folds.iter().map(|fold| fold.split.val.len()));

    let path = |name: &str| args.out.join(name);
    write_scores(&path("scores.json"), &scores)?;
    let text = serde_json::to_string_pretty(&by_fold.json()).context("folds as JSON")?;
    atomic_write(&path("folds.json"), text.as_bytes())?;
    let text = format!("{}\n{}", table::markdown(&scores, &classes), by_fold.markdown(&classes));
    atomic_write(&path("scores.md"), text.as_bytes())?;
    let cases: Vec<Case> = folds.iter().flat_map(|fold| fold.split.val.clone()).collect();
    let rows = [("command", command_line()), ("model size", config.model_size.clone())];
    let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value));
    let histories = folds.iter().map(|fold| History::read(&fold.run.path("log.jsonl")));
    let report = Report {
        title: format!("{}: {} cases in {} folds", config.data.name, cases.len(), folds.len()),
        settings: rows.chain(by_fold.rows()).collect(),
        classes: classes.clone(),
        overlays: draw_worst(&folds[0].run, &cases, &pairs, &scores)?,
        concepts: None,
        scores: scores.clone(),
        histories: histories.collect::<Result<_, _>>()?,
    };
    report.write_figures(&args.out)?;
    report.write(&path("report.html"))?;
    print_table(&scores, &classes);
    for (name, value) in by_fold.rows() {
        tracing::info!("{name}: {value}");
    }
    tracing::info!("report in {}", path("report.html").display());
    Ok(())
}
