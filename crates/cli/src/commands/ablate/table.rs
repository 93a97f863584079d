//! Aggregates the finished runs of a study into one table.

use std::{borrow::Cow, fs, path::Path};

use anyhow::{Context, Result};
use bipvl::{config::DataConfig, data::Dataset, run::RunDir};
use bipvl_io::atomic_write;
use bipvl_metrics::{
    Scores,
    bootstrap::{Bootstrap, Interval},
};
use bipvl_report::rows::case_rows;
use indexmap::IndexMap;
use serde::Serialize;

use super::{Ablation, COST, Cost, Job, REPORT, Study, row::FULL};

/// Random seed of the bootstrap, so that equal scores give equal intervals.
const BOOTSTRAP_SEED: u64 = 0;

/// The whole table.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) data: String,
    /// Which cases the runs are evaluated on.
    pub(super) evaluation: String,
    /// Number of cases of the full method; 0 before one of its runs is finished.
    pub(super) cases: usize,
    pub(super) seeds: Vec<u64>,
    pub(super) bootstrap: Bootstrap,
    pub(super) rows: Vec<TableRow>,
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub(super) struct TableRow {
    pub(super) row: Cow<'static, str>,
    pub(super) factor: &'static str,
    pub(super) setting: Cow<'static, str>,
    /// Number of finished runs, at most one per seed.
    pub(super) runs: usize,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    pub(super) dice: Option<Dice>,
    /// Paired difference in Dice to the full method.
    pub(super) difference: Option<Interval>,
    pub(super) cost: Option<Cost>,
    /// Mean Dice of each case over classes and seeds.
    pub(super) case_dice: IndexMap<String, f64>,
}

/// Mean Dice over cases and seeds, and its spread over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Dice {
    pub(super) mean: f64,
    /// Population standard deviation of the means per seed.
    pub(super) std_over_seeds: f64,
}

impl Table {
    /// All selected rows, and others with finished runs.
    pub(super) fn gather(study: &Study) -> Result<Self> {
        let (config, seeds) = (&study.config, study.seeds.clone());
        let mut rows = Vec::new();
        for row in &study.rows {
            let jobs = seeds.iter().map(|seed| Job { row: row.clone(), seed: *seed });
            let finished = jobs.filter_map(|job| FinishedRun::read(study, &job).transpose());
            let finished = finished.collect::<Result<Vec<_>>>()?;
            if !finished.is_empty() || study.selects(row) {
                let note = match row.missing_requirement(study.dataset) {
                    Some(requirement) => format!("not run: requires {requirement}"),
                    None => "no finished run".to_owned(),
                };
                rows.push(TableRow::new(row, &finished, note));
            }
        }
        let bootstrap = Bootstrap::with_seed(BOOTSTRAP_SEED);
        let cases = compare(&mut rows, bootstrap);
        let evaluation = evaluation_cases(&config.data, study.dataset);
        Ok(Self { data: config.data.name.clone(), evaluation, cases, seeds, bootstrap, rows })
    }

    /// Writes the table as JSON, Markdown and HTML.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let json = serde_json::to_string_pretty(self).context("the table cannot be serialized")?;
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

/// Sets the differences to the full method, and returns its number of cases.
fn compare(rows: &mut [TableRow], bootstrap: Bootstrap) -> usize {
    let full = rows.iter().find(|row| row.row == FULL).map(|row| row.case_dice.clone());
    let full = full.unwrap_or_default();
    for row in rows.iter_mut().filter(|row| row.row != FULL) {
        let pairs = row.case_dice.iter().filter_map(|(case, dice)| Some((*dice, *full.get(case)?)));
        let (ablated, reference): (Vec<f64>, Vec<f64>) = pairs.unzip();
        row.difference = bootstrap.paired_mean_difference(&ablated, &reference);
    }
    full.len()
}

/// A trained and evaluated run.
struct FinishedRun {
    scores: Scores,
    classes: Vec<String>,
    cost: Cost,
}

impl FinishedRun {
    /// `None` if the run is unfinished, or has another configuration than that of the study.
    fn read(study: &Study, job: &Job) -> Result<Option<Self>> {
        let folder = job.folder(study.args);
        let [cost, report, scores] = [COST, REPORT, "scores.json"].map(|name| folder.join(name));
        if !cost.exists() || !report.exists() {
            return Ok(None);
        }
        let config = RunDir::open(&folder)?.config;
        let mut requested = job.row.config(study.config.clone());
        requested.train.seed = job.seed;
        if (&config.train, &config.preprocess, &config.data)
            != (&requested.train, &requested.preprocess, &requested.data)
        {
            return Ok(None);
        }
        let text = fs::read_to_string(&scores).with_context(|| scores.display().to_string())?;
        let scores = serde_json::from_str(&text).with_context(|| scores.display().to_string())?;
        Ok(Some(Self { scores, classes: config.data.label_schema.names(), cost: Cost::read(&cost)? }))
    }

    /// Mean Dice over classes of each case, where defined.
    fn case_dice(&self) -> IndexMap<String, f64> {
        let rows = case_rows(&self.scores, &self.classes).into_iter();
        let mut dice: IndexMap<String, f64> = rows.filter_map(|row| Some((row.case, row.dice?))).collect();
        dice.sort_keys();
        dice
    }
}

impl TableRow {
    fn new(row: &Ablation, finished: &[FinishedRun], note: String) -> Self {
        let by_seed: Vec<IndexMap<String, f64>> = finished.iter().map(FinishedRun::case_dice).collect();
        let costs: Vec<Cost> = finished.iter().map(|run| run.cost).collect();
        Self {
            row: row.name.clone(),
            factor: row.factor,
            setting: row.setting.clone(),
            runs: finished.len(),
            note: finished.is_empty().then_some(note),
            dice: dice(&by_seed),
            difference: None,
            cost: Cost::of_row(&costs),
            case_dice: over_seeds(&by_seed),
        }
    }
}

/// Mean of each case over the seeds.
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

/// Which cases a run of this configuration is evaluated on.
fn evaluation_cases(data: &DataConfig, dataset: &Dataset) -> String {
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
    use super::{super::row::tests::built_in, *};

    fn cases(dice: [f64; 3]) -> IndexMap<String, f64> {
        ["a", "b", "c"].map(str::to_owned).into_iter().zip(dice).collect()
    }

    fn table_row(row: &Ablation, by_seed: &[IndexMap<String, f64>]) -> TableRow {
        let mut line = TableRow::new(row, &[], "no finished run".to_owned());
        line.runs = by_seed.len();
        line.note = line.note.filter(|_| by_seed.is_empty());
        line.dice = dice(by_seed);
        line.case_dice = over_seeds(by_seed);
        line
    }

    /// The full method with two seeds, a row that scores 0.1 less in every case, and one without runs.
    pub(crate) fn example() -> Table {
        let mut rows = vec![
            table_row(&Ablation::full(), &[cases([0.5, 0.7, 0.9]), cases([0.7, 0.9, 0.9])]),
            table_row(&built_in("vision-only"), &[cases([0.5, 0.7, 0.8])]),
            table_row(&built_in("report"), &[]),
        ];
        rows[2].note = Some("not run: requires two classes".to_owned());
        let bootstrap = Bootstrap::with_seed(BOOTSTRAP_SEED);
        let cases = compare(&mut rows, bootstrap);
        let (data, evaluation, seeds) = ("Made <up>".to_owned(), "test cases".to_owned(), vec![42, 43]);
        Table { data, evaluation, cases, seeds, bootstrap, rows }
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
