//! The scores of each fold of a cross-validation, and their mean and spread.

use bipvl_metrics::{MetricConfig, Scores};
use serde_json::{Value, json};

use crate::rows::number;

/// The scores of every fold, in order.
pub struct FoldScores(Vec<Scores>);

impl FoldScores {
    /// Of the scores of all cases, where the first fold has the first `counts[0]` of them, and so on.
    pub fn new(settings: &MetricConfig, all: &Scores, counts: impl Iterator<Item = usize>) -> Self {
        let mut rest = all.cases.as_slice();
        let by_fold = counts.map(|count| {
            let (own, others) = rest.split_at(count);
            rest = others;
            Scores::new(settings, own.to_vec())
        });
        Self(by_fold.collect())
    }

    /// Mean and standard deviation of the folds' mean Dice; the deviation is of these folds, divided by their
    /// number, as everywhere. `None` where no fold has a Dice.
    fn spread(&self) -> Option<[f64; 2]> {
        let all: Vec<f64> = self.0.iter().filter_map(Scores::mean_dice).collect();
        let mean_of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mean = (!all.is_empty()).then(|| mean_of(&all))?;
        let squares: Vec<f64> = all.iter().map(|dice| (dice - mean).powi(2)).collect();
        Some([mean, mean_of(&squares).sqrt()])
    }

    /// Cases and means of every fold, and the mean over the folds.
    pub fn json(&self) -> Value {
        let folds = self.0.iter().enumerate().map(|(fold, scores)| {
            let cases: Vec<&str> = scores.cases.iter().map(|case| case.case.as_str()).collect();
            json!({ "fold": fold, "cases": cases, "mean_dice": scores.mean_dice(), "mean": scores.mean })
        });
        let folds: Vec<Value> = folds.collect();
        let [mean, std] = self.spread().map_or([None; 2], |both| both.map(Some));
        json!({ "mean_dice": { "mean": mean, "std": std }, "folds": folds })
    }

    /// A row for each fold and one for all, for the head of a report.
    pub fn rows(&self) -> Vec<(String, String)> {
        let row = |(fold, scores): (usize, &Scores)| {
            let dice = number(scores.mean_dice(), 3);
            (format!("fold {fold}"), format!("mean Dice {dice} over {} cases", scores.cases.len()))
        };
        let mut rows: Vec<_> = self.0.iter().enumerate().map(row).collect();
        if let Some([mean, std]) = self.spread() {
            rows.push((
                "all folds".to_owned(),
                format!("mean Dice {mean:.3} ± {std:.3} over {} folds", self.0.len()),
            ));
        }
        rows
    }

    /// Mean Dice of each class in each fold, ending in a newline.
    pub fn markdown(&self, classes: &[String]) -> String {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let mut header = vec!["Fold".to_owned(), "Cases".to_owned(), "Mean Dice".to_owned()];
        header.extend(classes.iter().map(|class| class.replace('|', "\\|")));
        let mut lines = vec![format!("|{}", "---:|".repeat(header.len()))];
        lines.insert(0, line(header));
        for (fold, scores) in self.0.iter().enumerate() {
            let mut cells =
                vec![fold.to_string(), scores.cases.len().to_string(), number(scores.mean_dice(), 3)];
            let of_class =
                |class: &String| number(scores.mean.get(class).and_then(|means| means.dice.mean), 3);
            cells.extend(classes.iter().map(of_class));
            lines.push(line(cells));
        }
        if let Some([mean, std]) = self.spread() {
            lines.push(format!("\nmean Dice of the folds {mean:.3} ± {std:.3}"));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Grid, Volume};
    use bipvl_metrics::{CaseScores, ClassLabels, score_case};
    use ndarray::Array3;

    use super::*;

    /// One fold for each count: one case in which so many of ten voxels are found, and no others.
    fn folds(found: &[u16]) -> FoldScores {
        let cases = found.iter().map(|found| case(*found)).collect();
        FoldScores::new(
            &MetricConfig::default(),
            &Scores::new(&MetricConfig::default(), cases),
            found.iter().map(|_| 1),
        )
    }

    fn case(found: u16) -> CaseScores {
        let volume = |voxels: u16| {
            let array = Array3::from_shape_fn((10, 1, 1), |(x, _, _)| u16::from((x as u16) < voxels));
            Volume::new(array, Grid::with_spacing([10, 1, 1], [1.0; 3]))
        };
        let classes = [ClassLabels { name: "a".to_owned(), labels: vec![1] }];
        score_case("case", &volume(found), &volume(10), &classes, &MetricConfig::default()).unwrap()
    }

    #[test]
    fn folds_are_summed_up_by_mean_and_deviation() {
        // Dice of 10 of 10 is 1; of 5 of 10 it is 10/15.
        let both = folds(&[10, 5]);
        let [mean, std] = both.spread().unwrap();
        assert!((mean - 5.0 / 6.0).abs() < 1e-12 && (std - 1.0 / 6.0).abs() < 1e-12, "{mean} {std}");
        assert!(folds(&[]).spread().is_none());
        let text = both.markdown(&["a".to_owned()]);
        assert!(text.contains("| 0 | 1 | 1.000 | 1.000 |\n| 1 | 1 | 0.667 | 0.667 |\n"), "{text}");
        assert!(text.ends_with("mean Dice of the folds 0.833 ± 0.167\n"), "{text}");
        assert_eq!(both.json()["folds"][1]["cases"], json!(["case"]));
        assert_eq!(both.rows()[1], ("fold 1".to_owned(), "mean Dice 0.667 over 1 cases".to_owned()));
    }
}
