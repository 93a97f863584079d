//! The course of one training, or of each fold of a cross-validation, as SVG pictures.

use std::ops::Range;

use anyhow::Result;
use plotters::prelude::*;

use crate::canvas::{self, INK, LEGEND_WIDTH, Line, WIDTH, axes, dice_range, draw_legend, draw_line, svg};
use crate::history::{History, Loss, Validation};
use crate::palette::Stroke;
use crate::smoothing::{self, Point};

const LOSS: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const LOSS_SHAPE: (u32, u32) = (420, 250);
const DICE_HEIGHT: u32 = 340;

/// The pictures of a training.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Curves {
    /// Dice on the validation cases; `None` without validations.
    pub(crate) dice: Option<String>,
    /// The total loss and each of its parts that was logged, and the name of each picture as a file.
    pub(crate) losses: Vec<(&'static str, String)>,
}

impl Curves {
    /// Of one training: Dice of each of `classes` and their mean, and of the losses every step faint with the
    /// smoothed on top. Of the folds of a cross-validation: a line for each fold, of its mean Dice and of its smoothed
    /// losses.
    ///
    /// # Errors
    ///
    /// When drawing fails.
    pub(crate) fn of(histories: &[History], classes: &[String]) -> Result<Self> {
        let dice = match histories {
            [one] => dice_picture("Dice on the validation cases", &class_lines(one, classes))?,
            folds => {
                let names: Vec<String> = (0..folds.len()).map(|fold| format!("fold {fold}")).collect();
                dice_picture("Mean Dice on the validation cases of each fold", &fold_lines(folds, &names))?
            }
        };
        Ok(Self { dice, losses: loss_pictures(histories)? })
    }
}

fn class_lines<'a>(history: &History, classes: &'a [String]) -> Vec<Line<'a>> {
    let of_class = |class: &String| -> Vec<Point> {
        let dice = |validation: &Validation| *validation.dice.get(class)?;
        let validations = history.validations.iter();
        validations.filter_map(|validation| Some((validation.step as f64, dice(validation)?))).collect()
    };
    let mean =
        Line { name: "mean", points: mean_dice(history), style: INK.stroke_width(3), stroke: Stroke::Solid };
    let classes = classes.iter().enumerate();
    classes.map(|(place, class)| Line::of(class, place, of_class(class))).chain([mean]).collect()
}

fn fold_lines<'a>(folds: &[History], names: &'a [String]) -> Vec<Line<'a>> {
    let folds = folds.iter().zip(names).enumerate();
    folds.map(|(place, (history, name))| Line::of(name, place, mean_dice(history))).collect()
}

fn mean_dice(history: &History) -> Vec<Point> {
    let validations = history.validations.iter();
    validations.filter_map(|validation| Some((validation.step as f64, validation.mean_dice?))).collect()
}

fn dice_picture(title: &str, lines: &[Line<'_>]) -> Result<Option<String>> {
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

/// One picture for the total loss and one for each of its parts that was logged.
fn loss_pictures(histories: &[History]) -> Result<Vec<(&'static str, String)>> {
    type Part = fn(&Loss) -> Option<f64>;
    let parts: [(&str, &str, Part); 4] = [
        ("Total loss", "loss-total.svg", |loss| loss.total),
        ("Segmentation loss", "loss-segmentation.svg", |loss| loss.segmentation),
        ("Class embedding loss", "loss-class-embedding.svg", |loss| loss.class_embedding),
        ("Alignment loss", "loss-alignment.svg", |loss| loss.alignment),
    ];
    let curve = |history: &History, part: Part| -> Vec<Point> {
        let value = |loss| part(loss).filter(|value| value.is_finite());
        history.steps.iter().filter_map(|step| Some((step.step as f64, value(&step.loss)?))).collect()
    };
    let mut pictures = Vec::new();
    for (title, file, part) in parts {
        let curves: Vec<Vec<Point>> = histories.iter().map(|history| curve(history, part)).collect();
        if curves.iter().any(|points| !points.is_empty()) {
            pictures.push((file, loss_picture(title, &curves)?));
        }
    }
    Ok(pictures)
}

fn loss_picture(title: &str, curves: &[Vec<Point>]) -> Result<String> {
    let all = curves.concat();
    let smooth: Vec<Vec<Point>> = curves.iter().map(|points| smoothing::smooth(points)).collect();
    let (low, high) = smoothing::usual_range(&all);
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
        for (place, points) in smooth.iter().enumerate() {
            draw_line(&mut chart, &Line::of(title, place, points.clone()))?;
        }
        Ok(())
    })
}

/// The steps from the first to the last point, never an empty range.
fn steps(points: &[Point]) -> Range<f64> {
    let first = points.iter().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = points.iter().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    if first < last { first..last } else { first - 1.0..first + 1.0 }
}

/// A range that holds `low`, `high` and the smooth line, with some air.
fn padded(smooth: &[Point], low: f64, high: f64) -> Range<f64> {
    let low = smooth.iter().map(|point| point.1).fold(low, f64::min);
    let high = smooth.iter().map(|point| point.1).fold(high, f64::max);
    let air = ((high - low) * 0.05).max(high.abs() * 0.02).max(0.01);
    low - air..high + air
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::{history::Step, palette};

    fn history(steps: u64, validations: u64, classes: &[String]) -> History {
        let loss = |step: u64| Loss { total: Some(1.0 / (step + 1) as f64), ..Loss::default() };
        let dice = |step: u64| -> IndexMap<String, Option<f64>> {
            classes.iter().map(|class| (class.clone(), Some(step as f64 / validations as f64))).collect()
        };
        let validation = |step| Validation { step, mean_dice: Some(0.5), dice: dice(step) };
        History {
            steps: (0..steps).map(|step| Step { step, loss: loss(step) }).collect(),
            validations: (0..validations).map(validation).collect(),
        }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("class <{index}>")).collect()
    }

    fn losses(histories: &[History]) -> Vec<(&'static str, String)> {
        Curves::of(histories, &[]).unwrap().losses
    }

    #[test]
    fn nothing_logged_draws_nothing() {
        for logs in [vec![], vec![History::default()], vec![History::default(); 3]] {
            assert_eq!(Curves::of(&logs, &names(3)).unwrap(), Curves::default());
        }
    }

    #[test]
    fn a_picture_stays_small_however_long_the_run() {
        for steps in [1, 2, 100_000] {
            let curves = losses(&[history(steps, 0, &[])]);
            let [(name, curve)] = &curves[..] else { panic!("parts that were never logged are not drawn") };
            assert_eq!(*name, "loss-total.svg");
            assert!(curve.starts_with("<svg") && curve.ends_with("</svg>\n"));
            assert!(curve.len() < 50_000, "{steps} steps: {} bytes", curve.len());
        }
    }

    #[test]
    fn every_class_and_the_mean_stand_in_the_legend() {
        for count in [0, 1, 20] {
            for validations in [1, 30] {
                let classes = names(count);
                let history = history(0, validations, &classes);
                let picture = Curves::of(&[history], &classes).unwrap().dice.unwrap();
                for index in 0..count {
                    assert!(picture.contains(&format!("class &lt;{index}&gt;")), "{index} of {count}");
                }
                assert!(picture.contains("\nmean\n"));
            }
        }
    }

    #[test]
    fn folds_are_a_line_each_and_one_that_was_not_logged_is_none() {
        let folds = [history(9, 3, &[]), History::default(), history(5, 2, &[])];
        let Curves { dice, losses } = Curves::of(&folds, &names(1)).unwrap();
        let dice = dice.unwrap();
        assert!(dice.contains("fold 0") && !dice.contains("fold 1") && dice.contains("fold 2"), "{dice}");
        let lines = |picture: &str, place: usize| {
            picture.matches(&format!("stroke=\"{}\"", palette::hex(place).to_uppercase())).count()
        };
        // A line and a sample in the legend.
        assert_eq!([0, 1, 2].map(|place| lines(&dice, place)), [2, 0, 2]);
        assert_eq!([0, 1, 2].map(|place| lines(&losses[0].1, place)), [1, 0, 1]);
    }

    #[test]
    fn curves_without_a_value_or_of_one_value_have_axes() {
        let mut flat = history(300, 0, &[]);
        for step in &mut flat.steps {
            step.loss.total = Some(0.0);
            step.loss.alignment = Some(f64::NAN);
        }
        assert_eq!(losses(&[flat]).len(), 1);
    }
}
