//! Reliability diagram of presence, as SVG.

use bipvl_prompts::probe::{Calibration, ReliabilityBin};
use plotters::prelude::*;

use crate::Result;
use crate::canvas::{FONT, FONT_PIXELS, GRID, INK, color, svg};

const SHAPE: (u32, u32) = (420, 400);
/// Radius in pixels of the point of a bin: from almost no prompts to all.
const RADIUS: [f64; 2] = [2.5, 9.0];

/// The share that is there against presence, a point per bin whose area grows with its prompts; the diagonal is right.
///
/// # Errors
///
/// If drawing fails.
pub(crate) fn reliability_diagram(calibration: &Calibration) -> Result<String> {
    let points: Vec<((f64, f64), i32)> =
        calibration.bins.iter().filter_map(|bin| point(bin, calibration.n)).collect();
    svg(SHAPE, |canvas| {
        let text = (FONT, FONT_PIXELS).into_font().color(&INK);
        let mut chart = ChartBuilder::on(canvas)
            .margin(8)
            .margin_right(16)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_desc("mean presence")
            .y_desc("share that is there")
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| format!("{value:.1}"))
            .y_label_formatter(&|value| format!("{value:.1}"))
            .draw()?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], INK.stroke_width(1)))?;
        let style = color(1);
        chart.draw_series(LineSeries::new(points.iter().map(|(point, _)| *point), style.stroke_width(2)))?;
        chart
            .draw_series(points.iter().map(|(point, radius)| Circle::new(*point, *radius, style.filled())))?;
        Ok(())
    })
}

/// Where the point of a bin is, and its radius in pixels; `None` for an empty bin.
fn point(bin: &ReliabilityBin, total: usize) -> Option<((f64, f64), i32)> {
    let share = (bin.n as f64 / total as f64).sqrt();
    let radius = RADIUS[0] + share * (RADIUS[1] - RADIUS[0]);
    Some(((bin.presence?, bin.present?), radius.round() as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_without_prompts_has_no_point() {
        let calibration =
            Calibration::new(&[(0.95, true), (0.95, true), (0.95, true), (0.05, false)]).unwrap();
        let points: Vec<_> = calibration.bins.iter().filter_map(|bin| point(bin, calibration.n)).collect();
        // A quarter of the prompts has half of the range of radii: 2.5 + 0.5 · 6.5; three quarters 0.866 of it.
        assert_eq!(points.iter().map(|(_, radius)| *radius).collect::<Vec<_>>(), [6, 8]);
        assert_eq!(points[1].0.1, 1.0);
        let svg = reliability_diagram(&calibration).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
