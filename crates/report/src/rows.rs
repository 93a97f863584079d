//! Scores as the rows of a table: one per class, one per case, the numbers already in words.

use bipvl_metrics::{CaseScores, ClassScores, MaskPresence, ScoreSummary, Scores};

/// What stands where a score does not exist.
pub const UNDEFINED: &str = "–";

/// The means of one class.
pub struct ClassRow {
    /// The class's name.
    pub class: String,
    /// Mean Dice, for a bar.
    pub dice: Option<f64>,
    /// Mean ± standard deviation of Dice, HD95 in mm, NSD, ASSD in mm.
    pub means: [String; 4],
    /// Mean HD95 in mm where each missed case counts as the diagonal of its grid; only where any was missed.
    pub penalized_hd95: Option<String>,
    /// Cases that the mean Dice is made of.
    pub cases: usize,
    /// Cases whose reference holds the class and whose prediction does not.
    pub missed: usize,
}

/// The scores of one case.
pub struct CaseRow {
    /// The case's id.
    pub case: String,
    /// Mean Dice over its classes; a missed class and a false alarm count as 0.
    pub dice: Option<f64>,
    /// One per class, in the order of the report.
    pub cells: Vec<CaseCell>,
}

/// The scores of one class in one case.
pub struct CaseCell {
    /// Dice, as in [`CaseRow::dice`].
    pub dice: Option<f64>,
    /// What is said of empty masks, or nothing.
    pub words: &'static str,
    /// Dice, HD95 in mm, NSD, ASSD in mm.
    pub scores: [String; 4],
}

impl ClassRow {
    /// Mean Dice as the length of a bar, in percent.
    pub fn dice_percent(&self) -> String {
        format!("{:.1}", self.dice.unwrap_or(0.0) * 100.0)
    }
}

impl CaseRow {
    /// Mean Dice as it is printed.
    pub fn mean_dice(&self) -> String {
        number(self.dice, 3)
    }
}

impl CaseCell {
    /// Whether the class was missed or found where it is not.
    pub fn is_fault(&self) -> bool {
        self.dice == Some(0.0) && !self.words.is_empty()
    }
}

/// A row for each of `classes`, in that order; classes without scores get a row of dashes.
pub fn class_rows(scores: &Scores, classes: &[String]) -> Vec<ClassRow> {
    classes
        .iter()
        .map(|class| {
            let Some(means) = scores.mean.get(class) else {
                let means = [(); 4].map(|()| UNDEFINED.to_owned());
                return ClassRow {
                    class: class.clone(),
                    dice: None,
                    means,
                    penalized_hd95: None,
                    cases: 0,
                    missed: 0,
                };
            };
            ClassRow {
                class: class.clone(),
                dice: means.dice.mean,
                means: [
                    with_spread(&means.dice, 3),
                    with_spread(&means.hd95_mm, 2),
                    with_spread(&means.nsd, 3),
                    with_spread(&means.assd_mm, 2),
                ],
                penalized_hd95: means.hd95_mm.penalized_mean.map(|mean| number(Some(mean), 2)),
                cases: means.dice.cases,
                missed: means.dice.missed,
            }
        })
        .collect()
}

/// A row for each case, the worst first; cases without a defined Dice come last.
pub fn case_rows(scores: &Scores, classes: &[String]) -> Vec<CaseRow> {
    let mut rows: Vec<CaseRow> = scores.cases.iter().map(|case| case_row(case, classes)).collect();
    rows.sort_by(|a, b| {
        let order = |row: &CaseRow| row.dice.unwrap_or(f64::INFINITY);
        order(a).total_cmp(&order(b)).then_with(|| a.case.cmp(&b.case))
    });
    rows
}

/// A score with `digits` after the point, or a dash.
pub fn number(score: Option<f64>, digits: usize) -> String {
    score.map_or_else(|| UNDEFINED.to_owned(), |score| format!("{score:.digits$}"))
}

fn with_spread(mean: &ScoreSummary, digits: usize) -> String {
    match (mean.mean, mean.std) {
        (Some(mean), Some(std)) => format!("{mean:.digits$} ± {std:.digits$}"),
        (mean, _) => number(mean, digits),
    }
}

fn case_row(case: &CaseScores, classes: &[String]) -> CaseRow {
    let cells: Vec<CaseCell> = classes.iter().map(|class| case_cell(case.classes.get(class))).collect();
    let defined: Vec<f64> = cells.iter().filter_map(|cell| cell.dice).collect();
    let dice = (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64);
    CaseRow { case: case.case.clone(), dice, cells }
}

fn case_cell(scores: Option<&ClassScores>) -> CaseCell {
    let Some(scores) = scores else {
        return CaseCell { dice: None, words: "not scored", scores: [(); 4].map(|()| UNDEFINED.to_owned()) };
    };
    let (dice, words) = match scores.presence {
        MaskPresence::Both => (scores.dice, ""),
        MaskPresence::Neither => (None, "absent"),
        MaskPresence::OnlyReference => (Some(0.0), "missed"),
        MaskPresence::OnlyPrediction => (Some(0.0), "false alarm"),
    };
    let scores =
        [number(scores.dice, 3), number(scores.hd95_mm, 2), number(scores.nsd, 3), number(scores.assd_mm, 2)];
    CaseCell { dice, words, scores }
}
