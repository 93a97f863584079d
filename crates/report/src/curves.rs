//! Training curves of a run, or of each fold of a cross-validation, as SVG.

use std::ops::Range;

use plotters::prelude::*;

use crate::Result;
use crate::canvas::{self, INK, LEGEND_WIDTH, Line, WIDTH, axes, dice_range, draw_legend, draw_line, svg};
use crate::history::{History, LossRecord, ValidationRecord};
use crate::palette::Stroke;
use crate::smoothing::{self, Point};

const LOSS: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const LOSS_SHAPE: (u32, u32) = (420, 250);
const DICE_HEIGHT: u32 = 340;

/// Figures of a training.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Curves {
    /// Validation Dice; `None` without validations.
    pub(crate) dice: Option<String>,
    /// Total loss and each logged term, with file names.
    pub(crate) losses: Vec<(&'static str, String)>,
}

impl Curves {
    /// Of one training: Dice of each of `classes` and their mean; losses of every step (faint) and smoothed. Of several
    /// folds: one line per fold, of the mean Dice and of the smoothed losses.
    ///
    /// # Errors
    ///
    /// If drawing fails.
    pub(crate) fn new(histories: &[History], classes: &[String]) -> Result<Self> {
        let dice = match histories {
            [one] => dice_figure("Validation Dice", &class_lines(one, classes))?,
            folds => {
                let names: Vec<String> = (0..folds.len()).map(|fold| format!("fold {fold}")).collect();
                dice_figure("Mean validation Dice by fold", &fold_lines(folds, &names))?
            }
        };
        Ok(Self { dice, losses: loss_figures(histories)? })
    }
}

fn class_lines<'a>(history: &History, classes: &'a [String]) -> Vec<Line<'a>> {
    let of_class = |class: &String| -> Vec<Point> {
        let dice = |validation: &ValidationRecord| *validation.dice.get(class)?;
        let validations = history.validations.iter();
        validations.filter_map(|validation| Some((validation.step as f64, dice(validation)?))).collect()
    };
    let mean =
        Line { name: "mean", points: mean_dice(history), style: INK.stroke_width(3), stroke: Stroke::Solid };
    let classes = classes.iter().enumerate();
    classes.map(|(index, class)| Line::new(class, index, of_class(class))).chain([mean]).collect()
}

fn fold_lines<'a>(folds: &[History], names: &'a [String]) -> Vec<Line<'a>> {
    let folds = folds.iter().zip(names).enumerate();
    folds.map(|(index, (history, name))| Line::new(name, index, mean_dice(history))).collect()
}

fn mean_dice(history: &History) -> Vec<Point> {
    let validations = history.validations.iter();
    validations.filter_map(|validation| Some((validation.step as f64, validation.mean_dice?))).collect()
}

fn dice_figure(title: &str, lines: &[Line<'_>]) -> Result<Option<String>> {
    let points: Vec<Point> = lines.iter().flat_map(|line| line.points.iter().copied()).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let lowest = points.iter().map(|point| point.1).fold(1.0, f64::min);
    let drawn = lines.iter().filter(|line| !line.points.is_empty());
    let height = DICE_HEIGHT.max(canvas::legend_height(drawn.clone().count()));
    svg((WIDTH, height), |canvas| {
        let (plot, legend) = canvas.split_horizontally(WIDTH - LEGEND_WIDTH);
        let mut chart = axes(&plot, title, (steps(&points), dice_range(lowest)))?;
        for line in drawn.clone() {
            draw_line(&mut chart, line)?;
        }
        draw_legend(&legend, drawn)
    })
    .map(Some)
}

/// A figure for the total loss and for each logged term.
fn loss_figures(histories: &[History]) -> Result<Vec<(&'static str, String)>> {
    type Term = fn(&LossRecord) -> Option<f64>;
    let terms: [(&str, &str, Term); 4] = [
        ("Total loss", "loss-total.svg", |loss| loss.total),
        ("Segmentation loss", "loss-segmentation.svg", |loss| loss.segmentation),
        ("Class embedding loss", "loss-class-embedding.svg", |loss| loss.class_embedding),
        ("Alignment loss", "loss-alignment.svg", |loss| loss.alignment),
    ];
    let curve = |history: &History, term: Term| -> Vec<Point> {
        let value = |loss| term(loss).filter(|value| value.is_finite());
        history.steps.iter().filter_map(|step| Some((step.step as f64, value(&step.loss)?))).collect()
    };
    let mut figures = Vec::new();
    for (title, file, term) in terms {
        let curves: Vec<Vec<Point>> = histories.iter().map(|history| curve(history, term)).collect();
        if curves.iter().any(|points| !points.is_empty()) {
            figures.push((file, loss_figure(title, &curves)?));
        }
    }
    Ok(figures)
}

fn loss_figure(title: &str, curves: &[Vec<Point>]) -> Result<String> {
    let all = curves.concat();
    let smooth: Vec<Vec<Point>> = curves.iter().map(|points| smoothing::smooth(points)).collect();
    let (low, high) = smoothing::robust_range(&all);
    let y = padded(&smooth.concat(), low, high);
    svg(LOSS_SHAPE, |canvas| {
        let mut chart = axes(canvas, title, (steps(&all), y.clone()))?;
        if let [only] = curves {
            let clamp = |(step, loss): Point| (step, loss.clamp(y.start, y.end));
            let raw: Vec<Point> = smoothing::thin(only).into_iter().map(clamp).collect();
            chart.draw_series(LineSeries::new(raw, LOSS.mix(0.3)))?;
            let style = LOSS.stroke_width(2);
            let line = Line { name: title, points: smooth[0].clone(), style, stroke: Stroke::Solid };
            return draw_line(&mut chart, &line);
        }
        for (index, points) in smooth.iter().enumerate() {
            draw_line(&mut chart, &Line::new(title, index, points.clone()))?;
        }
        Ok(())
    })
}

/// First to last step; never empty.
fn steps(points: &[Point]) -> Range<f64> {
    let first = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = points.iter().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    if first < last { first..last } else { first - 1.0..first + 1.0 }
}

/// The range of `low`, `high` and the smoothed line, padded.
fn padded(smooth: &[Point], low: f64, high: f64) -> Range<f64> {
    let low = smooth.iter().map(|point| point.1).fold(low, f64::min);
    let high = smooth.iter().map(|point| point.1).fold(high, f64::max);
    let padding = ((high - low) * 0.05).max(high.abs() * 0.02).max(0.01);
    low - padding..high + padding
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::{history::StepRecord, palette};

    fn history(steps: u64, validations: u64, classes: &[String]) -> History {
        let loss = |step: u64| LossRecord { total: Some(1.0 / (step + 1) as f64), ..LossRecord::default() };
        let dice = |step: u64| -> IndexMap<String, Option<f64>> {
            classes.iter().map(|class| (class.clone(), Some(step as f64 / validations as f64))).collect()
        };
        let validation = |step| ValidationRecord { step, mean_dice: Some(0.5), dice: dice(step) };
        History {
            steps: (0..steps).map(|step| StepRecord { step, loss: loss(step), seconds: None }).collect(),
            validations: (0..validations).map(validation).collect(),
        }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("class <{index}>")).collect()
    }

    fn losses(histories: &[History]) -> Vec<(&'static str, String)> {
        Curves::new(histories, &[]).unwrap().losses
    }

    #[test]
    fn an_empty_log_has_no_figures() {
        for logs in [vec![], vec![History::default()], vec![History::default(); 3]] {
            assert_eq!(Curves::new(&logs, &names(3)).unwrap(), Curves::default());
        }
    }

    #[test]
    fn the_size_of_a_figure_is_bounded() {
        for steps in [1, 2, 100_000] {
            let curves = losses(&[history(steps, 0, &[])]);
            let [(name, curve)] = &curves[..] else { panic!("terms that were not logged are not drawn") };
            assert_eq!(*name, "loss-total.svg");
            assert!(curve.starts_with("<svg") && curve.ends_with("</svg>\n"));
            assert!(curve.len() < 50_000, "{steps} steps: {} bytes", curve.len());
        }
    }

    #[test]
    fn the_legend_lists_every_class_and_the_mean() {
        for count in [0, 1, 20] {
            for validations in [1, 30] {
                let classes = names(count);
                let history = history(0, validations, &classes);
                let picture = Curves::new(&[history], &classes).unwrap().dice.unwrap();
                for index in 0..count {
                    assert!(picture.contains(&format!("class &lt;{index}&gt;")), "{index} of {count}");
                }
                assert!(picture.contains("\nmean\n"));
            }
        }
    }

    #[test]
    fn each_fold_with_a_log_has_a_line() {
        let folds = [history(9, 3, &[]), History::default(), history(5, 2, &[])];
        let Curves { dice, losses } = Curves::new(&folds, &names(1)).unwrap();
        let dice = dice.unwrap();
        assert!(dice.contains("fold 0") && !dice.contains("fold 1") && dice.contains("fold 2"), "{dice}");
        let lines = |figure: &str, index: usize| {
            figure.matches(&format!("stroke=\"{}\"", palette::hex(index).to_uppercase())).count()
        };
        // A line and a sample in the legend.
        assert_eq!([0, 1, 2].map(|index| lines(&dice, index)), [2, 0, 2]);
        assert_eq!([0, 1, 2].map(|index| lines(&losses[0].1, index)), [1, 0, 1]);
    }

    #[test]
    fn constant_curves_have_axes_and_undefined_ones_no_figure() {
        let mut flat = history(300, 0, &[]);
        for step in &mut flat.steps {
            step.loss.total = Some(0.0);
            step.loss.alignment = Some(f64::NAN);
        }
        assert_eq!(losses(&[flat]).len(), 1);
    }
}
