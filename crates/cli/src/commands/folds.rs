//! `bipvl train --folds N`: a run for each fold, one after another, and the scores of all cases together, each
//! case as the run segmented it that never saw it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bipvl::{
    data::{Case, Dataset, Split},
    run::{Folds, RunDir},
    train::checkpoint::read_progress,
};
use bipvl_io::atomic_write;
use bipvl_metrics::MetricConfig;
use bipvl_report::{Report, evaluate::CaseFiles, folds::FoldScores, history::History, table};
use burn::tensor::Device;

use super::{
    evaluate::{print_table, score, write_scores},
    judge::{draw_worst, judge},
    memory,
    train::{Outset, command_line, imported, learn, open_device, options, time_budget, wanted},
};
use crate::args::TrainArgs;

/// One run of a cross-validation.
struct Fold {
    run: RunDir,
    split: Split,
}

/// Trains and judges the folds that are not done yet, then scores all cases together.
pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    let began = Instant::now();
    let device = open_device(args)?;
    let budget = time_budget(args.max_minutes)?;
    let (folds, dataset) = if let Some(count) = args.folds {
        let dataset = Dataset::read(&args.data, &wanted(args)?)?;
        (begin_all(args, &dataset, count.into())?, dataset)
    } else {
        let folds = Folds::read(&args.out)?;
        let first = RunDir::open(&folds.run_dirs(&args.out)[0])?;
        (folds, Dataset::read(&args.data, &first.config.data.dataset_overrides())?)
    };
    let opened = folds.run_dirs(&args.out).into_iter().map(|folder| open(args, folder, &dataset));
    let opened: Vec<Fold> = opened.collect::<Result<_>>()?;
    let mut is_first = true;
    for fold in &opened {
        if fold.is_done()? {
            continue;
        }
        let left = budget.map(|budget| budget.saturating_sub(began.elapsed()));
        // However short the time is, every call goes a step on.
        if is_first || left.is_none_or(|left| !left.is_zero()) {
            fold.learn(args, &folds, &dataset, left, &device)?;
        }
        is_first = false;
        if !fold.is_trained()? {
            tracing::warn!("{}: not done in time; --resume goes on from here", fold.run.folder.display());
            return Ok(());
        }
        judge(&fold.run, &fold.split.val, &device, &[("command", command_line())])?;
    }
    memory::tell_peak(args.memory_budget);
    summarize(args, &opened)
}

/// A run for each fold, before any is trained, and the file that says how many.
fn begin_all(args: &TrainArgs, dataset: &Dataset, count: usize) -> Result<Folds> {
    let labeled = dataset.cases.iter().filter(|case| case.labels.is_some()).count();
    if labeled < count {
        bail!("--folds: expected at most {labeled}, one for each case with labels, found {count}");
    }
    if args.out.join("config.toml").exists() || Folds::exists_in(&args.out) {
        bail!(
            "{}: expected a folder without a run; use --resume to go on, or another --out",
            args.out.display()
        );
    }
    let imported = imported(args, dataset.label_schema.num_logit_channels())?;
    let (text_encoder, weights) = (args.pretrained_text_encoder.clone(), args.pretrained_backbone.clone());
    let folds = Folds { count, text_encoder, weights };
    // The folds differ only in which of them validates.
    let val_fold = Some(format!("0/{count}"));
    let outset = Outset::new(&TrainArgs { val_fold, ..args.clone() }, dataset, &imported)?;
    for (fold, out) in folds.run_dirs(&args.out).into_iter().enumerate() {
        let mut outset = outset.clone();
        outset.config.data.fold = format!("{fold}/{count}");
        outset.begin(&out, &imported)?;
    }
    folds.write(&args.out)?;
    Ok(folds)
}

fn open(args: &TrainArgs, folder: PathBuf, dataset: &Dataset) -> Result<Fold> {
    let mut run = RunDir::open(&folder)?;
    // The folds prepare the same cases in the same way.
    run.cache = args.out.join("cache");
    let split = run.split(dataset)?;
    Ok(Fold { run, split })
}

impl Fold {
    /// Whether all its updates are done.
    fn is_trained(&self) -> Result<bool> {
        let last = self.run.last_checkpoint();
        Ok(last.exists() && self.run.config.train.is_finished(&read_progress(&last)?))
    }

    /// Whether it is judged too; the report is what a judgment writes last.
    fn is_done(&self) -> Result<bool> {
        Ok(self.is_trained()? && self.run.path("report.html").exists())
    }

    /// Begins its training, or goes on with it.
    fn learn(
        &self,
        args: &TrainArgs,
        folds: &Folds,
        dataset: &Dataset,
        left: Option<Duration>,
        device: &Device,
    ) -> Result<()> {
        let (run, split) = (&self.run, &self.split);
        let (train, val) = (split.train.len(), split.val.len());
        tracing::info!("{}: {train} cases train, {val} validate", run.folder.display());
        let goes_on = run.last_checkpoint().exists();
        let Folds { text_encoder, weights, .. } = folds.clone();
        let first =
            TrainArgs { pretrained_text_encoder: text_encoder, pretrained_backbone: weights, ..args.clone() };
        let outputs = dataset.label_schema.num_logit_channels();
        let imported = if goes_on { Vec::new() } else { imported(&first, outputs)? };
        learn(goes_on, run, dataset, split, options(imported, left, device))
    }

    /// The case as this run segmented it, and its reference.
    fn pair(&self, case: &Case) -> Result<CaseFiles> {
        let prediction = self.run.path("predictions").join(format!("{}.nii.gz", case.id));
        let reference = case.labels.clone().context("a validation case has labels")?;
        Ok(CaseFiles { case: case.id.clone(), prediction, reference })
    }
}

/// Scores of all cases, and of each fold, as JSON, Markdown and HTML.
fn summarize(args: &TrainArgs, folds: &[Fold]) -> Result<()> {
    let config = &folds[0].run.config;
    let (labels, classes) = (config.data.class_labels(), &config.data.label_schema.names());
    let pairs = folds.iter().flat_map(|fold| fold.split.val.iter().map(|case| fold.pair(case)));
    let pairs = pairs.collect::<Result<Vec<CaseFiles>>>()?;
    let ignore_label = config.data.label_schema.ignore();
    let settings = MetricConfig { ignore_label, ..MetricConfig::default() };
    let scores = score(&pairs, &labels, config.data.label_schema.remap(), &settings)?;
    let by_fold = FoldScores::new(&settings, &scores, folds.iter().map(|fold| fold.split.val.len()));

    let path = |name: &str| args.out.join(name);
    write_scores(&path("scores.json"), &scores)?;
    let text = serde_json::to_string_pretty(&by_fold.json()).context("folds as JSON")?;
    atomic_write(&path("folds.json"), text.as_bytes())?;
    let text = format!("{}\n{}", table::markdown(&scores, classes), by_fold.markdown(classes));
    atomic_write(&path("scores.md"), text.as_bytes())?;
    let cases: Vec<Case> = folds.iter().flat_map(|fold| fold.split.val.clone()).collect();
    let rows = [("command", command_line()), ("model size", config.model_size.clone())];
    let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value));
    let histories = folds.iter().map(|fold| History::read(&fold.run.path("log.jsonl")));
    let report = Report {
        title: format!("{}: {} cases in {} folds", config.data.name, cases.len(), folds.len()),
        settings: rows.chain(by_fold.rows()).collect(),
        classes: classes.clone(),
        overlays: draw_worst(&folds[0].run, &cases, &pairs, &scores, &labels)?,
        concepts: None,
        scores: scores.clone(),
        histories: histories.collect::<Result<_, _>>()?,
    };
    report.write_figures(&args.out)?;
    report.write(&path("report.html"))?;
    print_table(&scores, classes);
    for (name, value) in by_fold.rows() {
        tracing::info!("{name}: {value}");
    }
    tracing::info!("report in {}", path("report.html").display());
    Ok(())
}
