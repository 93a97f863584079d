//! The table of an ablation study: rows that differ from the full method in one component, over several seeds.

mod cost;
mod page;

pub use cost::RunCost;

use std::{fs, path::Path};

use bipvl_io::{FileError, atomic_write};
use bipvl_metrics::{
    Scores,
    bootstrap::{Bootstrap, Interval},
};
use indexmap::IndexMap;
use serde::Serialize;

use crate::{Result, rows::case_rows};

/// The row that all others are compared with.
pub const FULL: &str = "full";
/// What is special about the rows of a network with fixed classes.
const FIXED_CLASSES: [&str; 2] = [
    "The row full is the given configuration: all concepts of the descriptions, and a text encoder trained from \
     scratch. Vision only keeps the class-embedding supervision, which uses no text.",
    "Vision to text: the logits do not depend on the text; the fused text enters the global alignment only.",
];
/// Random seed of the bootstrap, so that equal scores give equal intervals.
const BOOTSTRAP_SEED: u64 = 0;

/// The whole table.
#[derive(Debug, Serialize)]
pub struct AblationTable {
    data: String,
    /// Which cases the runs are evaluated on.
    evaluation: String,
    /// Number of cases of the full method; 0 before one of its runs is finished.
    cases: usize,
    seeds: Vec<u64>,
    bootstrap: Bootstrap,
    rows: Vec<AblationRow>,
    /// What is special about the rows.
    #[serde(skip)]
    notes: Vec<String>,
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub struct AblationRow {
    row: String,
    factor: String,
    setting: String,
    /// Number of finished runs, at most one per seed.
    runs: usize,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    dice: Option<Dice>,
    /// Paired difference in Dice to the full method.
    difference: Option<Interval>,
    cost: Option<RunCost>,
    /// Mean Dice of each case over classes and seeds.
    case_dice: IndexMap<String, f64>,
}

/// What a row is called and how it differs from the full method.
#[derive(Clone, Copy, Debug)]
pub struct RowLabel<'a> {
    /// Name of the row; [`FULL`] for the full method.
    pub name: &'a str,
    /// The component that differs.
    pub factor: &'a str,
    /// How it differs.
    pub setting: &'a str,
}

/// Results of a trained and evaluated run.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// Mean Dice over classes of each case, where defined.
    case_dice: IndexMap<String, f64>,
    cost: RunCost,
}

/// Mean Dice over cases and seeds, and its spread over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Dice {
    mean: f64,
    /// Population standard deviation of the means per seed.
    std_over_seeds: f64,
}

impl AblationTable {
    /// Compares every row with the full method, case by case. `evaluation` names the cases the runs are evaluated on.
    pub fn new(data: String, evaluation: String, seeds: Vec<u64>, mut rows: Vec<AblationRow>) -> Self {
        let bootstrap = Bootstrap::with_seed(BOOTSTRAP_SEED);
        let cases = compare(&mut rows, bootstrap);
        let notes = FIXED_CLASSES.map(str::to_owned).to_vec();
        Self { data, evaluation, cases, seeds, bootstrap, rows, notes }
    }

    /// The table of another form of the network than that of fixed classes.
    #[must_use]
    pub fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// Writes `ablation.json`, `ablation.md` and `ablation.html` into a folder, which is created.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| FileError::new(folder, error))?;
        for (name, text) in [
            ("ablation.json", serde_json::to_string_pretty(self)?),
            ("ablation.md", self.page().markdown()),
            ("ablation.html", self.page().html()?),
        ] {
            atomic_write(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

impl AblationRow {
    /// A row from its finished runs, one per seed; `note` is the reason if there are none.
    pub fn new(label: RowLabel<'_>, runs: &[FinishedRun], note: String) -> Self {
        let by_seed: Vec<&IndexMap<String, f64>> = runs.iter().map(|run| &run.case_dice).collect();
        let costs: Vec<RunCost> = runs.iter().map(|run| run.cost).collect();
        Self {
            row: label.name.to_owned(),
            factor: label.factor.to_owned(),
            setting: label.setting.to_owned(),
            runs: runs.len(),
            note: runs.is_empty().then_some(note),
            dice: dice(&by_seed),
            difference: None,
            cost: RunCost::of_row(&costs),
            case_dice: over_seeds(&by_seed),
        }
    }
}

impl FinishedRun {
    /// From the scores of a run with these classes.
    pub fn new(scores: &Scores, classes: &[String], cost: RunCost) -> Self {
        let rows = case_rows(scores, classes).into_iter();
        let mut case_dice: IndexMap<String, f64> =
            rows.filter_map(|row| Some((row.case, row.dice?))).collect();
        case_dice.sort_keys();
        Self { case_dice, cost }
    }
}

/// Sets the differences to the full method, and returns its number of cases.
fn compare(rows: &mut [AblationRow], bootstrap: Bootstrap) -> usize {
    let full = rows.iter().find(|row| row.row == FULL).map(|row| row.case_dice.clone());
    let full = full.unwrap_or_default();
    for row in rows.iter_mut().filter(|row| row.row != FULL) {
        let pairs = row.case_dice.iter().filter_map(|(case, dice)| Some((*dice, *full.get(case)?)));
        let (ablated, reference): (Vec<f64>, Vec<f64>) = pairs.unzip();
        row.difference = bootstrap.paired_mean_difference(&ablated, &reference);
    }
    full.len()
}

/// Mean of each case over the seeds.
fn over_seeds(by_seed: &[&IndexMap<String, f64>]) -> IndexMap<String, f64> {
    let mut of_case: IndexMap<&String, Vec<f64>> = IndexMap::new();
    for (case, dice) in by_seed.iter().copied().flatten() {
        of_case.entry(case).or_default().push(*dice);
    }
    of_case.into_iter().filter_map(|(case, dice)| Some((case.clone(), mean(&dice)?))).collect()
}

fn dice(by_seed: &[&IndexMap<String, f64>]) -> Option<Dice> {
    let means: Vec<f64> =
        by_seed.iter().filter_map(|cases| mean(&cases.values().copied().collect::<Vec<_>>())).collect();
    let over_all = mean(&means)?;
    let squares: Vec<f64> = means.iter().map(|seed| (seed - over_all).powi(2)).collect();
    Some(Dice { mean: over_all, std_over_seeds: mean(&squares)?.sqrt() })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dice: [f64; 3]) -> FinishedRun {
        let cost = RunCost {
            parameters: 1234,
            gflop_per_patch: 0.5,
            seconds_per_step: None,
            seconds_per_patch: 1.0,
            text_share: 0.25,
            peak_mib: None,
        };
        let case_dice = ["a", "b", "c"].map(str::to_owned).into_iter().zip(dice).collect();
        FinishedRun { case_dice, cost }
    }

    /// The full method with two seeds, a row that scores 0.1 less in every case, and one without runs.
    pub(super) fn example() -> AblationTable {
        let row = |name, runs: &[FinishedRun]| {
            let label = RowLabel { name, factor: "fusion", setting: "a setting" };
            AblationRow::new(label, runs, "not run: requires two classes".to_owned())
        };
        let rows = vec![
            row(FULL, &[run([0.5, 0.7, 0.9]), run([0.7, 0.9, 0.9])]),
            row("vision-only", &[run([0.5, 0.7, 0.8])]),
            row("report", &[]),
        ];
        AblationTable::new("Made <up>".to_owned(), "test cases".to_owned(), vec![42, 43], rows)
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
