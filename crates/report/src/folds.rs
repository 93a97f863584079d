//! Scores of the folds of a cross-validation.

use bipvl_metrics::{MetricConfig, Scores};
use serde_json::{Value, json};

use crate::rows::format_score;
use crate::table::{markdown_table, one_line};

/// Scores by fold.
pub struct FoldScores(Vec<Scores>);

impl FoldScores {
    /// Splits the scores of all cases into folds of `counts` consecutive cases.
    pub fn new(all: &Scores, counts: impl Iterator<Item = usize>) -> Self {
        let Scores { convention, tolerance_mm, ignore_label, .. } = *all;
        let config = MetricConfig { convention, tolerance_mm, ignore_label };
        let mut rest = all.cases.as_slice();
        let by_fold = counts.map(|count| {
            let (fold, remaining) = rest.split_at(count);
            rest = remaining;
            Scores::new(&config, fold.to_vec())
        });
        Self(by_fold.collect())
    }

    /// Mean and population standard deviation of the mean Dice over the folds; `None` if undefined in all.
    fn mean_and_std(&self) -> Option<[f64; 2]> {
        let all: Vec<f64> = self.0.iter().filter_map(Scores::mean_dice).collect();
        let mean_of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mean = (!all.is_empty()).then(|| mean_of(&all))?;
        let squares: Vec<f64> = all.iter().map(|dice| (dice - mean).powi(2)).collect();
        Some([mean, mean_of(&squares).sqrt()])
    }

    /// Cases and means of each fold, and the mean over the folds.
    pub fn json(&self) -> Value {
        let folds = self.0.iter().enumerate().map(|(fold, scores)| {
            let cases: Vec<&str> = scores.cases.iter().map(|case| case.case.as_str()).collect();
            json!({ "fold": fold, "cases": cases, "mean_dice": scores.mean_dice(), "mean": scores.mean })
        });
        let folds: Vec<Value> = folds.collect();
        let [mean, std] = self.mean_and_std().map_or([None; 2], |both| both.map(Some));
        json!({ "mean_dice": { "mean": mean, "std": std }, "folds": folds })
    }

    /// Settings rows for a report: one per fold and one for all.
    pub fn rows(&self) -> Vec<(String, String)> {
        let row = |(fold, scores): (usize, &Scores)| {
            let dice = format_score(scores.mean_dice(), 3);
            (format!("fold {fold}"), format!("mean Dice {dice}, {}", cases(scores.cases.len())))
        };
        let mut rows: Vec<_> = self.0.iter().enumerate().map(row).collect();
        if let Some([mean, std]) = self.mean_and_std() {
            rows.push((
                "all folds".to_owned(),
                format!("mean Dice {mean:.3} ± {std:.3} (mean ± std over {} folds)", self.0.len()),
            ));
        }
        rows
    }

    /// Mean Dice by fold and class as Markdown, ending in a newline.
    pub fn markdown(&self, classes: &[String]) -> String {
        let header = ["Fold", "Cases", "Mean Dice"].into_iter().map(str::to_owned);
        let mut table = vec![header.chain(classes.iter().map(|class| one_line(class))).collect()];
        for (fold, scores) in self.0.iter().enumerate() {
            let dice = |class: &String| {
                format_score(scores.mean.get(class).and_then(|summary| summary.dice.mean), 3)
            };
            let row = [fold.to_string(), scores.cases.len().to_string(), format_score(scores.mean_dice(), 3)];
            table.push(row.into_iter().chain(classes.iter().map(dice)).collect::<Vec<_>>());
        }
        let mut text = markdown_table(&table);
        if let Some([mean, std]) = self.mean_and_std() {
            text.push_str(&mean_line(mean, std, self.0.len()));
        }
        text
    }
}

fn mean_line(mean: f64, std: f64, folds: usize) -> String {
    format!("\nmean Dice {mean:.3} ± {std:.3} (mean ± std over {folds} folds)\n")
}

/// `1 case`, `2 cases`.
pub(crate) fn cases(count: usize) -> String {
    if count == 1 { "1 case".to_owned() } else { format!("{count} cases") }
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::{Grid, LabelClass, Volume};
    use bipvl_metrics::{CaseScores, score_case};
    use ndarray::Array3;

    use super::*;

    /// One fold of one case per count; of ten voxels, `found` are predicted.
    fn folds(found: &[u16]) -> FoldScores {
        let cases = found.iter().map(|found| case(*found)).collect();
        FoldScores::new(&Scores::new(&MetricConfig::default(), cases), found.iter().map(|_| 1))
    }

    fn case(found: u16) -> CaseScores {
        let volume = |voxels: u16| {
            let array = Array3::from_shape_fn((10, 1, 1), |(x, _, _)| u16::from((x as u16) < voxels));
            Volume::new(array, Grid::with_spacing([10, 1, 1], [1.0; 3]))
        };
        let classes = [LabelClass::new("a", vec![1])];
        score_case("case", &volume(found), &volume(10), &classes, &MetricConfig::default()).unwrap()
    }

    #[test]
    fn folds_are_summarized_by_mean_and_std() {
        // Dice of 10 of 10 is 1; of 5 of 10 it is 10/15.
        let both = folds(&[10, 5]);
        let [mean, std] = both.mean_and_std().unwrap();
        assert!((mean - 5.0 / 6.0).abs() < 1e-12 && (std - 1.0 / 6.0).abs() < 1e-12, "{mean} {std}");
        assert!(folds(&[]).mean_and_std().is_none());
        let text = both.markdown(&["a".to_owned()]);
        assert!(
            text.contains("| 0    |     1 |     1.000 | 1.000 |\n| 1    |     1 |     0.667 | 0.667 |\n"),
            "{text}"
        );
        assert!(text.ends_with("mean Dice 0.833 ± 0.167 (mean ± std over 2 folds)\n"), "{text}");
        assert_eq!(both.json()["folds"][1]["cases"], json!(["case"]));
        assert_eq!(both.rows()[1], ("fold 1".to_owned(), "mean Dice 0.667, 1 case".to_owned()));
    }
}
