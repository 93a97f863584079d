//! Gathers the runs that are done into the rows of one table.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use bipvl::{
    config::{Config, DataConfig},
    data::Dataset,
    run::Run,
};
use bipvl_io::atomic_write;
use bipvl_metrics::{
    Scores,
    bootstrap::{Bootstrap, Interval},
};
use bipvl_report::rows::case_rows;
use indexmap::IndexMap;
use serde::Serialize;

use super::{COST, Cost, FULL, Job, REPORT, ROWS, Row, chosen, plan, seeds};
use crate::args::AblateArgs;

/// What the draws of every interval follow from, so that equal scores give equal intervals.
const BOOTSTRAP_SEED: u64 = 0;

/// The whole table.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) data: String,
    /// Which cases judge.
    pub(super) judges: String,
    /// Those of the full method; none before one of its runs is done.
    pub(super) cases: usize,
    pub(super) seeds: Vec<u64>,
    pub(super) bootstrap: Bootstrap,
    pub(super) rows: Vec<Line>,
}

/// One row of it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) row: &'static str,
    pub(super) factor: &'static str,
    pub(super) what: &'static str,
    /// Runs that are done, one for each seed.
    pub(super) runs: usize,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    pub(super) dice: Option<Dice>,
    /// Its Dice less that of the full method, case by case.
    pub(super) difference: Option<Interval>,
    pub(super) cost: Option<Cost>,
    /// Mean Dice of each case over classes and seeds.
    pub(super) case_dice: IndexMap<String, f64>,
}

/// Mean over cases, and how far the seeds lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Dice {
    pub(super) mean: f64,
    /// Standard deviation of the seeds' means, divided by their number.
    pub(super) std_over_seeds: f64,
}

impl Table {
    /// All rows that were asked for, and others whose runs are there.
    pub(super) fn gather(args: &AblateArgs, dataset: &Dataset) -> Result<Self> {
        let seeds = seeds(args, dataset)?;
        let (config, _) = plan(&Job { row: FULL, seed: 0 }.flags(args, None), dataset)?;
        let asked: Vec<&str> = chosen(args).map(|row| row.name).collect();
        let mut rows = Vec::new();
        for row in &ROWS {
            let jobs = seeds.iter().map(|seed| Job { row, seed: *seed });
            let done = jobs.filter_map(|job| Done::read(args, job, &config).transpose());
            let done = done.collect::<Result<Vec<_>>>()?;
            if !done.is_empty() || asked.contains(&row.name) {
                let note = match row.lacks(args, dataset) {
                    Some(what) => format!("not run: needs {what}"),
                    None => "no run is done".to_owned(),
                };
                rows.push(Line::new(row, &done, note));
            }
        }
        let bootstrap = Bootstrap::with_seed(BOOTSTRAP_SEED);
        let cases = compare(&mut rows, bootstrap);
        let judges = judges(&config.data, dataset);
        Ok(Self { data: config.data.name, judges, cases, seeds, bootstrap, rows })
    }

    /// Writes it as JSON, Markdown and HTML.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let json = serde_json::to_string_pretty(self).context("the table as JSON")?;
        for (name, text) in [
            ("ablation.json", json),
            ("ablation.md", self.page().markdown()),
            ("ablation.html", self.page().html()?),
        ] {
            atomic_write(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Fills in the differences to the full method; gives the number of its cases.
fn compare(rows: &mut [Line], bootstrap: Bootstrap) -> usize {
    let full = rows.iter().find(|line| line.row == FULL.name).map(|line| line.case_dice.clone());
    let full = full.unwrap_or_default();
    for line in rows.iter_mut().filter(|line| line.row != FULL.name) {
        let pairs = line.case_dice.iter().filter_map(|(case, dice)| Some((*dice, *full.get(case)?)));
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.unzip();
        line.difference = bootstrap.mean_difference(&ours, &theirs);
    }
    full.len()
}

/// A run that is trained and judged.
struct Done {
    scores: Scores,
    classes: Vec<String>,
    cost: Cost,
}

impl Done {
    /// Nothing where it is not, or where it was begun with other values than those asked for.
    fn read(args: &AblateArgs, job: Job, full: &Config) -> Result<Option<Self>> {
        let folder = job.folder(args);
        let [cost, report, scores] = [COST, REPORT, "scores.json"].map(|name| folder.join(name));
        if !cost.exists() || !report.exists() {
            return Ok(None);
        }
        let config = Run::open(&folder)?.config;
        let mut asked = job.row.config(full.clone());
        asked.train.seed = job.seed;
        if (&config.train, &config.preprocess, &config.data) != (&asked.train, &asked.preprocess, &asked.data)
        {
            return Ok(None);
        }
        let text = fs::read_to_string(&scores).with_context(|| scores.display().to_string())?;
        let scores = serde_json::from_str(&text).with_context(|| scores.display().to_string())?;
        Ok(Some(Self { scores, classes: config.data.classes, cost: Cost::read(&cost)? }))
    }

    /// Mean Dice over classes of each case that has one.
    fn case_dice(&self) -> IndexMap<String, f64> {
        let rows = case_rows(&self.scores, &self.classes).into_iter();
        let mut dice: IndexMap<String, f64> = rows.filter_map(|row| Some((row.case, row.dice?))).collect();
        dice.sort_keys();
        dice
    }
}

impl Line {
    fn new(row: &Row, done: &[Done], note: String) -> Self {
        let by_seed: Vec<IndexMap<String, f64>> = done.iter().map(Done::case_dice).collect();
        let costs: Vec<Cost> = done.iter().map(|done| done.cost).collect();
        Self {
            row: row.name,
            factor: row.factor,
            what: row.what,
            runs: done.len(),
            note: done.is_empty().then_some(note),
            dice: dice(&by_seed),
            difference: None,
            cost: Cost::of_row(&costs),
            case_dice: over_seeds(&by_seed),
        }
    }
}

/// The mean of each case over the seeds.
fn over_seeds(by_seed: &[IndexMap<String, f64>]) -> IndexMap<String, f64> {
    let mut of_case: IndexMap<&String, Vec<f64>> = IndexMap::new();
    for (case, dice) in by_seed.iter().flatten() {
        of_case.entry(case).or_default().push(*dice);
    }
    of_case.into_iter().filter_map(|(case, dice)| Some((case.clone(), mean(&dice)?))).collect()
}

fn dice(by_seed: &[IndexMap<String, f64>]) -> Option<Dice> {
    let means: Vec<f64> =
        by_seed.iter().filter_map(|cases| mean(&cases.values().copied().collect::<Vec<_>>())).collect();
    let over_all = mean(&means)?;
    let squares: Vec<f64> = means.iter().map(|seed| (seed - over_all).powi(2)).collect();
    Some(Dice { mean: over_all, std_over_seeds: mean(&squares)?.sqrt() })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The cases that a run of the configuration is judged by.
fn judges(data: &DataConfig, dataset: &Dataset) -> String {
    if data.split.test.is_some() || !dataset.test.is_empty() {
        "test cases".to_owned()
    } else if data.split.val.is_some() {
        "validation cases".to_owned()
    } else {
        format!("validation cases (fold {})", data.fold)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn cases(dice: [f64; 3]) -> IndexMap<String, f64> {
        ["a", "b", "c"].map(str::to_owned).into_iter().zip(dice).collect()
    }

    fn line(row: &'static Row, by_seed: &[IndexMap<String, f64>]) -> Line {
        let mut line = Line::new(row, &[], "no run is done".to_owned());
        line.runs = by_seed.len();
        line.note = line.note.filter(|_| by_seed.is_empty());
        line.dice = dice(by_seed);
        line.case_dice = over_seeds(by_seed);
        line
    }

    /// The full method with two seeds, one row below it by 0.1 in every case, and one without runs.
    pub(crate) fn example() -> Table {
        let mut rows = vec![
            line(FULL, &[cases([0.5, 0.7, 0.9]), cases([0.7, 0.9, 0.9])]),
            line(&ROWS[1], &[cases([0.5, 0.7, 0.8])]),
            line(&ROWS[15], &[]),
        ];
        rows[2].note = Some("not run: needs --bert DIR".to_owned());
        let bootstrap = Bootstrap::with_seed(BOOTSTRAP_SEED);
        let cases = compare(&mut rows, bootstrap);
        let (data, judges, seeds) = ("Made <up>".to_owned(), "test cases".to_owned(), vec![42, 43]);
        Table { data, judges, cases, seeds, bootstrap, rows }
    }

    #[test]
    fn cases_are_averaged_over_seeds_and_compared_pair_by_pair() {
        let table = example();
        assert_eq!(table.cases, 3);
        let full = &table.rows[0];
        let found: Vec<f64> = full.case_dice.values().copied().collect();
        for (found, expected) in found.iter().zip([0.6, 0.8, 0.9]) {
            assert!((found - expected).abs() < 1e-12);
        }
        // Seeds at 0.7 and 2.5 / 3.
        let dice = full.dice.unwrap();
        assert!((dice.mean - f64::midpoint(0.7, 2.5 / 3.0)).abs() < 1e-12);
        assert!((dice.std_over_seeds - (2.5 / 3.0 - 0.7) / 2.0).abs() < 1e-12);
        assert!(full.difference.is_none() && table.rows[2].difference.is_none());
        // The same difference in every case leaves nothing to chance.
        let difference = table.rows[1].difference.unwrap();
        for value in [difference.mean, difference.low, difference.high] {
            assert!((value + 0.1).abs() < 1e-12, "{value}");
        }
    }
}
