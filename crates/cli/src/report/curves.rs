//! The course of a training run as SVG pictures.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::history::{History, Loss, Validation};
use super::palette::{self, Stroke};
use super::smoothing::{self, Point};

type Drawn<T = ()> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;
type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes, text and the mean; the report's stylesheet recolors this and the next two in the dark.
const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);
const GRID: RGBColor = RGBColor(0xe1, 0xe5, 0xea);
const LOSS: RGBColor = RGBColor(0x00, 0x72, 0xb2);

const FONT: &str = "system-ui, sans-serif";
const FONT_PIXELS: i32 = 13;

const LOSS_SHAPE: (u32, u32) = (420, 250);
const DICE_WIDTH: u32 = 860;
const DICE_HEIGHT: u32 = 340;
const LEGEND_WIDTH: u32 = 190;
const LEGEND_ROW: u32 = 19;

/// Characters of a class name that fit into the legend.
const LEGEND_CHARACTERS: usize = 22;

/// One picture for the total loss and one for each of its parts that was logged: every step faint,
/// smoothed on top.
///
/// # Errors
///
/// When drawing fails.
pub(crate) fn loss_curves(history: &History) -> Result<Vec<String>> {
    type Part = fn(&Loss) -> Option<f64>;
    let parts: [(&str, Part); 4] = [
        ("Total loss", |loss| loss.total),
        ("Segmentation loss", |loss| loss.segmentation),
        ("Class embedding loss", |loss| loss.class_embedding),
        ("Alignment loss", |loss| loss.alignment),
    ];
    let curve = |part: Part| -> Vec<Point> {
        let value = |loss| part(loss).filter(|value| value.is_finite());
        history.steps.iter().filter_map(|step| Some((step.step as f64, value(&step.loss)?))).collect()
    };
    parts
        .into_iter()
        .map(|(title, part)| (title, curve(part)))
        .filter(|(_, points)| !points.is_empty())
        .map(|(title, points)| loss_curve(title, &points))
        .collect()
}

/// Dice of each of `classes` and their mean over the steps of training; `None` without validations.
///
/// # Errors
///
/// When drawing fails.
pub(crate) fn dice_curves(history: &History, classes: &[String]) -> Result<Option<String>> {
    let mean: Vec<Point> = history
        .validations
        .iter()
        .filter_map(|validation| Some((validation.step as f64, validation.mean_dice?)))
        .collect();
    let of_class = |class: &String| -> Vec<Point> {
        let dice = |validation: &Validation| *validation.dice.get(class)?;
        let validations = history.validations.iter();
        validations.filter_map(|validation| Some((validation.step as f64, dice(validation)?))).collect()
    };
    let lines: Vec<Line<'_>> = classes
        .iter()
        .enumerate()
        .map(|(index, class)| {
            let [red, green, blue] = palette::color(index);
            let style = RGBColor(red, green, blue).stroke_width(2);
            Line { name: class, points: of_class(class), style, stroke: palette::stroke(index) }
        })
        .chain([Line { name: "mean", points: mean, style: INK.stroke_width(3), stroke: Stroke::Solid }])
        .filter(|line| !line.points.is_empty())
        .collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let height = DICE_HEIGHT.max(40 + LEGEND_ROW * lines.len() as u32);
    svg((DICE_WIDTH, height), |canvas| {
        let (plot, legend) = canvas.split_horizontally(DICE_WIDTH - LEGEND_WIDTH);
        let mut chart = axes(&plot, "Dice on the validation cases", dice_ranges(&lines))?;
        for line in &lines {
            draw_line(&mut chart, line)?;
        }
        draw_legend(&legend, &lines)
    })
    .map(Some)
}

/// A named line of the Dice picture.
struct Line<'a> {
    name: &'a str,
    points: Vec<Point>,
    style: ShapeStyle,
    stroke: Stroke,
}

fn loss_curve(title: &str, points: &[Point]) -> Result<String> {
    let smooth = smoothing::smooth(points);
    let (low, high) = smoothing::usual_range(points);
    let y = padded(&smooth, low, high);
    let raw: Vec<Point> =
        smoothing::thin(points).into_iter().map(|(step, loss)| (step, loss.clamp(y.start, y.end))).collect();
    svg(LOSS_SHAPE, |canvas| {
        let mut chart = axes(canvas, title, (steps(points), y.clone()))?;
        chart.draw_series(LineSeries::new(raw.clone(), LOSS.mix(0.3)))?;
        chart.draw_series(LineSeries::new(smooth.clone(), LOSS.stroke_width(2)))?;
        if let [only] = smooth[..] {
            chart.draw_series([Circle::new(only, 4, LOSS.filled())])?;
        }
        Ok(())
    })
}

/// Draws into a new picture of `shape` pixels.
fn svg(shape: (u32, u32), draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> Result<String> {
    let mut picture = String::new();
    {
        let canvas = SVGBackend::with_string(&mut picture, shape).into_drawing_area();
        draw(&canvas).map_err(|error| anyhow!("a curve cannot be drawn: {error}"))?;
        canvas.present().map_err(|error| anyhow!("a curve cannot be drawn: {error}"))?;
    }
    Ok(picture)
}

fn axes<'a, 'b>(
    canvas: &'b Canvas<'a>,
    title: &str,
    (x, y): (Range<f64>, Range<f64>),
) -> Drawn<Chart<'a, 'b>> {
    let text = (FONT, FONT_PIXELS).into_font().color(&INK);
    let digits = if y.end - y.start < 0.2 { 3 } else { 2 };
    let mut chart = ChartBuilder::on(canvas)
        .caption(title, (FONT, FONT_PIXELS + 2).into_font().color(&INK))
        .margin(8)
        .margin_right(16)
        .x_label_area_size(38)
        .y_label_area_size(50)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc("step")
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|step| short_count(*step))
        .y_label_formatter(&|value| format!("{value:.digits$}"))
        .draw()?;
    Ok(chart)
}

fn draw_line(chart: &mut Chart<'_, '_>, line: &Line<'_>) -> Drawn {
    let points = smoothing::thin(&line.points);
    if let [only] = points[..] {
        chart.draw_series([Circle::new(only, 4, line.style.filled())])?;
    }
    match dashes(line.stroke) {
        None => chart.draw_series(LineSeries::new(points, line.style))?,
        Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(points, dash, gap, line.style))?,
    };
    Ok(())
}

fn draw_legend(area: &Canvas<'_>, lines: &[Line<'_>]) -> Drawn {
    let text = (FONT, FONT_PIXELS).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (row, line) in (0..).zip(lines) {
        let y = 44 + row * LEGEND_ROW as i32;
        let sample = vec![(4, y), (32, y)];
        match dashes(line.stroke) {
            None => area.draw(&PathElement::new(sample, line.style))?,
            Some((dash, gap)) => {
                area.draw(&DashedPathElement::new(sample, dash, gap, line.style))?;
            }
        }
        area.draw_text(&shortened(line.name), &text, (40, y))?;
    }
    Ok(())
}

/// Lengths of a dash and of the gap after it, in pixels.
fn dashes(stroke: Stroke) -> Option<(i32, i32)> {
    match stroke {
        Stroke::Solid => None,
        Stroke::Dashed => Some((8, 4)),
        Stroke::Dotted => Some((2, 3)),
        Stroke::LongDashed => Some((14, 5)),
    }
}

fn dice_ranges(lines: &[Line<'_>]) -> (Range<f64>, Range<f64>) {
    let points: Vec<Point> = lines.iter().flat_map(|line| line.points.iter().copied()).collect();
    let lowest = points.iter().map(|point| point.1).fold(1.0, f64::min);
    (steps(&points), ((lowest * 10.0 - 0.2).floor() / 10.0).clamp(0.0, 0.9)..1.0)
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

/// 12000 as `12k`; there are no half steps.
fn short_count(step: f64) -> String {
    match step.abs() {
        count if count.fract() > 0.0 => String::new(),
        count if count >= 1e6 => format!("{}M", step / 1e6),
        count if count >= 1e4 => format!("{}k", step / 1e3),
        _ => format!("{step}"),
    }
}

/// A class name that fits into the legend.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LEGEND_CHARACTERS {
        return name.to_owned();
    }
    name.chars().take(LEGEND_CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::report::history::Step;

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

    #[test]
    fn nothing_logged_draws_nothing() {
        let history = History::default();
        assert_eq!(loss_curves(&history).unwrap(), Vec::<String>::new());
        assert_eq!(dice_curves(&history, &names(3)).unwrap(), None);
    }

    #[test]
    fn a_picture_stays_small_however_long_the_run() {
        for steps in [1, 2, 100_000] {
            let curves = loss_curves(&history(steps, 0, &[])).unwrap();
            assert_eq!(curves.len(), 1, "parts that were never logged are not drawn");
            assert!(curves[0].starts_with("<svg") && curves[0].ends_with("</svg>\n"));
            assert!(curves[0].len() < 50_000, "{steps} steps: {} bytes", curves[0].len());
        }
    }

    #[test]
    fn every_class_and_the_mean_stand_in_the_legend() {
        for count in [0, 1, 20] {
            for validations in [1, 30] {
                let classes = names(count);
                let picture = dice_curves(&history(0, validations, &classes), &classes).unwrap().unwrap();
                for index in 0..count {
                    assert!(picture.contains(&format!("class &lt;{index}&gt;")), "{index} of {count}");
                }
                assert!(picture.contains("\nmean\n"));
            }
        }
    }

    #[test]
    fn curves_without_a_value_or_of_one_value_have_axes() {
        let mut flat = history(300, 0, &[]);
        for step in &mut flat.steps {
            step.loss.total = Some(0.0);
            step.loss.alignment = Some(f64::NAN);
        }
        assert_eq!(loss_curves(&flat).unwrap().len(), 1);
    }

    #[test]
    fn large_steps_are_written_short() {
        assert_eq!(["0", "", "500", "20k", "1.5M"], [0.0, 0.5, 500.0, 2e4, 1.5e6].map(short_count));
    }

    #[test]
    fn long_names_are_cut_with_an_ellipsis() {
        assert_eq!(shortened("Right ventricle"), "Right ventricle");
        assert_eq!(shortened("Inferior vena cava, infrarenal"), "Inferior vena cava, i…");
    }
}
