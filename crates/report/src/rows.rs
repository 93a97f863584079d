//! Formatted rows of score tables: one per class or per case.

use bipvl_metrics::{CaseScores, ClassScores, MaskPresence, ScoreSummary, Scores};

/// Placeholder of an undefined score.
pub const UNDEFINED: &str = "–";

/// Means of one class.
pub struct ClassRow {
    /// Class name.
    pub class: String,
    /// Mean Dice.
    pub dice: Option<f64>,
    /// Mean ± standard deviation of Dice, HD95 in mm, NSD, ASSD in mm.
    pub means: [String; 4],
    /// 95 % confidence interval of the mean Dice.
    pub dice_ci95: String,
    /// Mean HD95 in mm with each missed case counted as the diagonal of its grid; only if any was missed.
    pub penalized_hd95: Option<String>,
    /// Number of cases in the mean Dice.
    pub cases: usize,
    /// Number of cases in which the class was missed.
    pub missed: usize,
}

/// Scores of one case.
pub struct CaseRow {
    /// Case id.
    pub case: String,
    /// Mean Dice over the classes; missed classes and false alarms count as 0.
    pub dice: Option<f64>,
    /// One cell per class, in the order of the report.
    pub cells: Vec<CaseCell>,
}

/// Scores of one class in one case.
pub struct CaseCell {
    /// Dice, as in [`CaseRow::dice`].
    pub dice: Option<f64>,
    /// `missed`, `false alarm`, `absent`, `not scored`, or empty.
    pub remark: &'static str,
    /// Dice, HD95 in mm, NSD, ASSD in mm.
    pub scores: [String; 4],
}

impl ClassRow {
    /// Mean Dice in percent, the length of a bar.
    pub fn dice_percent(&self) -> String {
        format!("{:.1}", self.dice.unwrap_or(0.0) * 100.0)
    }
}

impl CaseRow {
    /// The formatted mean Dice.
    pub fn mean_dice(&self) -> String {
        format_score(self.dice, 3)
    }
}

impl CaseCell {
    /// Whether the class was missed or is a false alarm.
    pub fn is_error(&self) -> bool {
        self.dice == Some(0.0) && !self.remark.is_empty()
    }
}

/// A row for each of `classes`; classes without scores have undefined scores.
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
                    dice_ci95: UNDEFINED.to_owned(),
                    penalized_hd95: None,
                    cases: 0,
                    missed: 0,
                };
            };
            ClassRow {
                class: class.clone(),
                dice: means.dice.mean,
                means: [
                    mean_and_std(&means.dice, 3),
                    mean_and_std(&means.hd95_mm, 2),
                    mean_and_std(&means.nsd, 3),
                    mean_and_std(&means.assd_mm, 2),
                ],
                dice_ci95: means
                    .dice
                    .ci95
                    .map_or_else(|| UNDEFINED.to_owned(), |[low, high]| format!("[{low:.3}, {high:.3}]")),
                penalized_hd95: means.hd95_mm.penalized_mean.map(|mean| format_score(Some(mean), 2)),
                cases: means.dice.cases,
                missed: means.dice.missed,
            }
        })
        .collect()
}

/// A row for each case, worst first; cases with undefined Dice are last.
pub fn case_rows(scores: &Scores, classes: &[String]) -> Vec<CaseRow> {
    let mut rows: Vec<CaseRow> = scores.cases.iter().map(|case| case_row(case, classes)).collect();
    rows.sort_by(|a, b| {
        let order = |row: &CaseRow| row.dice.unwrap_or(f64::INFINITY);
        order(a).total_cmp(&order(b)).then_with(|| a.case.cmp(&b.case))
    });
    rows
}

/// A score with `digits` decimals, or a dash if undefined.
pub fn format_score(score: Option<f64>, digits: usize) -> String {
    score.map_or_else(|| UNDEFINED.to_owned(), |score| format!("{score:.digits$}"))
}

/// A number with its digits in groups of three: 1234567 → 1 234 567.
pub fn format_count(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

fn mean_and_std(summary: &ScoreSummary, digits: usize) -> String {
    match (summary.mean, summary.std) {
        (Some(mean), Some(std)) => format!("{mean:.digits$} ± {std:.digits$}"),
        (mean, _) => format_score(mean, digits),
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
        return CaseCell { dice: None, remark: "not scored", scores: [(); 4].map(|()| UNDEFINED.to_owned()) };
    };
    let (dice, remark) = match scores.presence {
        MaskPresence::Both => (scores.dice, ""),
        MaskPresence::Neither => (None, "absent"),
        MaskPresence::OnlyReference => (Some(0.0), "missed"),
        MaskPresence::OnlyPrediction => (Some(0.0), "false alarm"),
    };
    let scores = [
        format_score(scores.dice, 3),
        format_score(scores.hd95_mm, 2),
        format_score(scores.nsd, 3),
        format_score(scores.assd_mm, 2),
    ];
    CaseCell { dice, remark, scores }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!([1, 999, 1000, 1_234_567].map(format_count), ["1", "999", "1 000", "1 234 567"]);
    }
}
