//! Common elements of SVG figures: colors, text, axes and named lines.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::palette::{self, Stroke};
use crate::smoothing::{self, Point};
use crate::{Error, Result};

pub(crate) type Drawn<T = ()> = std::result::Result<T, DrawingAreaErrorKind<std::io::Error>>;
pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Axes, text and the mean. The stylesheet of the report replaces this and the next two colors in dark mode.
pub(crate) const INK: RGBColor = RGBColor(0x1f, 0x29, 0x33);
pub(crate) const GRID: RGBColor = RGBColor(0xe1, 0xe5, 0xea);
/// Missed cases.
pub(crate) const BAD: RGBColor = RGBColor(0xb2, 0x3b, 0x00);

pub(crate) const FONT: &str = "system-ui, sans-serif";
pub(crate) const FONT_PIXELS: i32 = 13;

/// Width in pixels of a wide figure and of its legend.
pub(crate) const WIDTH: u32 = 860;
pub(crate) const LEGEND_WIDTH: u32 = 190;
const LEGEND_ROW: u32 = 19;

/// Characters of a class name that fit into the legend.
const LEGEND_CHARACTERS: usize = 22;

/// A named line.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    pub(crate) points: Vec<Point>,
    pub(crate) style: ShapeStyle,
    pub(crate) stroke: Stroke,
}

impl<'a> Line<'a> {
    /// With the color and stroke of a palette index.
    pub(crate) fn new(name: &'a str, index: usize, points: Vec<Point>) -> Self {
        Self { name, points, style: color(index).stroke_width(2), stroke: palette::stroke(index) }
    }
}

/// The palette color of an index.
pub(crate) fn color(index: usize) -> RGBColor {
    let [red, green, blue] = palette::color(index);
    RGBColor(red, green, blue)
}

/// Draws an SVG of `shape` pixels.
pub(crate) fn svg(shape: (u32, u32), draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, shape).into_drawing_area();
        draw(&canvas).and_then(|()| canvas.present()).map_err(|error| Error::Drawing(error.to_string()))?;
    }
    Ok(svg)
}

/// Vertically centered text.
pub(crate) fn text(side: HPos) -> TextStyle<'static> {
    (FONT, FONT_PIXELS).into_font().color(&INK).pos(Pos::new(side, VPos::Center))
}

pub(crate) fn axes<'a, 'b>(
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

pub(crate) fn draw_line(chart: &mut Chart<'_, '_>, line: &Line<'_>) -> Drawn {
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

/// Height in pixels of a legend of `lines` entries.
pub(crate) fn legend_height(lines: usize) -> u32 {
    40 + LEGEND_ROW * lines as u32
}

pub(crate) fn draw_legend<'a>(area: &Canvas<'_>, lines: impl Iterator<Item = &'a Line<'a>>) -> Drawn {
    for (row, line) in (0..).zip(lines) {
        let y = 44 + row * LEGEND_ROW as i32;
        let sample = vec![(4, y), (32, y)];
        match dashes(line.stroke) {
            None => area.draw(&PathElement::new(sample, line.style))?,
            Some((dash, gap)) => {
                area.draw(&DashedPathElement::new(sample, dash, gap, line.style))?;
            }
        }
        area.draw_text(&truncated(line.name), &text(HPos::Left), (40, y))?;
    }
    Ok(())
}

/// Lengths of dashes and gaps in pixels.
fn dashes(stroke: Stroke) -> Option<(i32, i32)> {
    match stroke {
        Stroke::Solid => None,
        Stroke::Dashed => Some((8, 4)),
        Stroke::Dotted => Some((2, 3)),
        Stroke::LongDashed => Some((14, 5)),
    }
}

/// From a multiple of 0.1 below the lowest Dice to 1.
pub(crate) fn dice_range(lowest: f64) -> Range<f64> {
    ((lowest * 10.0 - 0.2).floor() / 10.0).clamp(0.0, 0.9)..1.0
}

/// 12000 as `12k`; empty for fractions of a step.
fn short_count(step: f64) -> String {
    match step.abs() {
        count if count.fract() > 0.0 => String::new(),
        count if count >= 1e6 => format!("{}M", step / 1e6),
        count if count >= 1e4 => format!("{}k", step / 1e3),
        _ => format!("{step}"),
    }
}

/// A class name truncated to the width of the legend.
pub(crate) fn truncated(name: &str) -> String {
    if name.chars().count() <= LEGEND_CHARACTERS {
        return name.to_owned();
    }
    name.chars().take(LEGEND_CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_steps_are_abbreviated() {
        assert_eq!(["0", "", "500", "20k", "1.5M"], [0.0, 0.5, 500.0, 2e4, 1.5e6].map(short_count));
    }

    #[test]
    fn long_names_are_truncated_with_an_ellipsis() {
        assert_eq!(truncated("Right ventricle"), "Right ventricle");
        assert_eq!(truncated("Inferior vena cava, infrarenal"), "Inferior vena cava, i…");
    }
}
