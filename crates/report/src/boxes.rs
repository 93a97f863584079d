//! Box plot of Dice by class with a point per case, as SVG.

use std::collections::BTreeSet;
use std::ops::Range;

use bipvl_metrics::{MaskPresence, Quartiles, Scores};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::canvas::{
    BAD, Canvas, Drawn, GRID, INK, LEGEND_WIDTH, WIDTH, color, dice_range, svg, text, truncated,
};
use crate::rows::format_score;

/// Horizontal extent of the plot in pixels; names are on its left, medians on its right.
const PLOT: Range<i32> = LEGEND_WIDTH as i32..WIDTH as i32 - 150;
const TOP: i32 = 40;
const ROW: i32 = 36;
const BOTTOM: u32 = 44;
const HALF_BOX: i32 = 11;
const HALF_CAP: i32 = 6;
/// Vertical range of the jitter of points in pixels.
const JITTER: f64 = 18.0;
/// Fractional parts of its multiples are evenly distributed (low-discrepancy jitter).
const GOLDEN: f64 = 0.618_033_988_75;
/// Maximum number of ticks.
const MAX_TICKS: f64 = 11.0;

/// Dice of one class over the cases.
struct ClassDice {
    /// Dice of each case in the mean and whether the class was missed, sorted.
    cases: Vec<(f64, bool)>,
    quartiles: Option<Quartiles>,
}

/// A row for each of `classes`: box, whiskers, a point per case and a cross per missed case. Cases are those of the mean;
/// a missed class counts as 0. `None` if no class has a Dice.
///
/// # Errors
///
/// If drawing fails.
pub(crate) fn dice_boxes(scores: &Scores, classes: &[String]) -> Result<Option<String>> {
    let rows: Vec<ClassDice> = classes.iter().map(|class| ClassDice::new(scores, class)).collect();
    let Some(lowest) = rows.iter().flat_map(|row| &row.cases).map(|case| case.0).reduce(f64::min) else {
        return Ok(None);
    };
    let range = dice_range(lowest);
    let height = TOP as u32 + rows.len() as u32 * ROW as u32 + BOTTOM;
    svg((WIDTH, height), |canvas| {
        draw_axis(canvas, &range, TOP + rows.len() as i32 * ROW)?;
        for (index, (class, row)) in classes.iter().zip(&rows).enumerate() {
            let middle = TOP + index as i32 * ROW + ROW / 2;
            canvas.draw_text(&truncated(class), &text(HPos::Right), (PLOT.start - 14, middle))?;
            canvas.draw_text(&row.summary(), &text(HPos::Left), (PLOT.end + 14, middle))?;
            row.draw(canvas, &range, middle, color(index))?;
        }
        Ok(())
    })
    .map(Some)
}

impl ClassDice {
    fn new(scores: &Scores, class: &str) -> Self {
        let of_class = scores.cases.iter().filter_map(|case| case.classes.get(class));
        let mut cases: Vec<(f64, bool)> = of_class
            .filter_map(|scores| {
                Some((scores.dice_or_zero_if_missed()?, scores.presence == MaskPresence::OnlyReference))
            })
            .collect();
        cases.sort_by(|a, b| a.0.total_cmp(&b.0));
        let dice: Vec<f64> = cases.iter().map(|case| case.0).collect();
        Self { cases, quartiles: Quartiles::from_values(&dice) }
    }

    fn summary(&self) -> String {
        let median = format_score(self.quartiles.map(|quartiles| quartiles.median), 3);
        match self.cases.iter().filter(|case| case.1).count() {
            0 => median,
            missed => format!("{median}, {missed} missed"),
        }
    }

    fn draw(&self, canvas: &Canvas<'_>, range: &Range<f64>, middle: i32, color: RGBColor) -> Drawn {
        let Some(Quartiles { q1: low, median, q3: high, whiskers }) = self.quartiles else { return Ok(()) };
        let [low, median, high] = [low, median, high].map(|dice| x_position(range, dice));
        let [lowest, highest] = whiskers.map(|dice| x_position(range, dice));
        let (line, bold) = (color.stroke_width(2), INK.stroke_width(3));
        let path = |from, to, style| canvas.draw(&PathElement::new(vec![from, to], style));
        canvas.draw(&Rectangle::new(
            [(low, middle - HALF_BOX), (high, middle + HALF_BOX)],
            color.mix(0.2).filled(),
        ))?;
        canvas.draw(&Rectangle::new([(low, middle - HALF_BOX), (high, middle + HALF_BOX)], line))?;
        for (edge, end) in [(low, lowest), (high, highest)] {
            path((edge, middle), (end, middle), line)?;
            path((end, middle - HALF_CAP), (end, middle + HALF_CAP), line)?;
        }
        self.draw_cases(canvas, range, middle, color)?;
        path((median, middle - HALF_BOX), (median, middle + HALF_BOX), bold)
    }

    /// Draws each pixel position once, so the size of the figure is bounded.
    fn draw_cases(&self, canvas: &Canvas<'_>, range: &Range<f64>, middle: i32, color: RGBColor) -> Drawn {
        let position = |(rank, (dice, missed)): (usize, &(f64, bool))| {
            let jitter = ((rank as f64 * GOLDEN).fract() - 0.5) * JITTER;
            (*missed, (x_position(range, *dice), middle + jitter.round() as i32))
        };
        let positions: BTreeSet<_> = self.cases.iter().enumerate().map(position).collect();
        for (missed, position) in positions {
            if missed {
                canvas.draw(&Cross::new(position, 4, BAD.stroke_width(2)))?;
            } else {
                canvas.draw(&Circle::new(position, 3, color.mix(0.75).filled()))?;
            }
        }
        Ok(())
    }
}

fn draw_axis(canvas: &Canvas<'_>, range: &Range<f64>, bottom: i32) -> Drawn {
    let label = text(HPos::Center);
    let steps = [0.01, 0.02, 0.05, 0.1];
    let span = range.end - range.start;
    let step = steps.into_iter().find(|step| (span / step).round() < MAX_TICKS).unwrap_or(0.1);
    for tick in 0..=(span / step).round() as i32 {
        let dice = range.start + f64::from(tick) * step;
        let x = x_position(range, dice);
        canvas.draw(&PathElement::new(vec![(x, TOP - 4), (x, bottom)], GRID))?;
        canvas.draw_text(&format!("{dice:.2}"), &label, (x, bottom + 12))?;
    }
    canvas.draw(&PathElement::new(vec![(PLOT.start, bottom), (PLOT.end, bottom)], INK))?;
    canvas.draw_text("Dice", &label, (i32::midpoint(PLOT.start, PLOT.end), bottom + 30))?;
    canvas.draw_text("median", &text(HPos::Left), (PLOT.end + 14, TOP - 16))
}

fn x_position(range: &Range<f64>, dice: f64) -> i32 {
    let fraction = (dice - range.start) / (range.end - range.start);
    PLOT.start + (fraction * f64::from(PLOT.end - PLOT.start)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, palette};

    fn figure() -> String {
        let report = example::report();
        dice_boxes(&report.scores, &report.classes).unwrap().unwrap()
    }

    #[test]
    fn boxes_show_the_quartiles() {
        // The liver has Dice 0.91, 0.95, 0.96, so its quartiles are 0.93, 0.95, 0.955, and the lowest Dice of all
        // is 0: the axis from 0 to 1 has 520 pixels from pixel 190 on.
        assert_eq!((PLOT.start, PLOT.end), (190, 710));
        let [low, high] = [190 + 484, 190 + 497]; // 483.6 and 496.6
        let fill = palette::hex(0).to_uppercase();
        let body = format!("<rect x=\"{low}\" y=\"47\" width=\"{}\" height=\"22\"", high - low);
        let svg = figure();
        assert!(svg.contains(&body) && svg.contains(&fill), "{body} in {svg}");
    }

    #[test]
    fn cases_are_points_and_missed_cases_crosses() {
        let svg = figure();
        // Twelve scores: nine masks that were found, a gallbladder that was missed, a kidney that is rightly absent,
        // and a false alarm, which has no Dice under MONAI's convention.
        assert_eq!(svg.matches("<circle").count(), 9);
        let cross = format!("stroke=\"#{:02X}{:02X}{:02X}\"", BAD.0, BAD.1, BAD.2);
        assert_eq!(svg.matches(&cross).count(), 2, "one cross of two strokes");
        assert!(svg.contains("1 missed") && svg.contains("0.950"), "{svg}");
    }

    #[test]
    fn there_is_no_figure_without_scores_and_classes_without_scores_keep_their_row() {
        let mut report = example::report();
        let classes = [report.classes[0].clone(), "Aorta".to_owned()];
        let svg = dice_boxes(&report.scores, &classes).unwrap().unwrap();
        assert!(svg.contains("Aorta") && svg.contains("\n–\n"), "{svg}");
        report.scores.cases.clear();
        assert_eq!(dice_boxes(&report.scores, &classes).unwrap(), None);
    }

    #[test]
    fn the_size_of_the_figure_is_bounded() {
        let mut report = example::report();
        let case = report.scores.cases[0].clone();
        report.scores.cases = vec![case; 20_000];
        let svg = dice_boxes(&report.scores, &report.classes).unwrap().unwrap();
        assert!(svg.len() < 50_000, "{} bytes", svg.len());
    }
}
