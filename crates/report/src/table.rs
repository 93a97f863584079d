//! Score tables as plain text and Markdown.

use bipvl_metrics::Scores;

use crate::folds::cases;
use crate::rows::{UNDEFINED, class_rows, format_score};

/// Means by class with aligned columns, ending in a newline.
pub fn text(scores: &Scores, classes: &[String]) -> String {
    format!("{}\n{}\n", aligned_table(&cells(scores, classes)), summary(scores))
}

/// Means by class as Markdown, ending in a newline.
pub fn markdown(scores: &Scores, classes: &[String]) -> String {
    format!("{}\n{}\n", markdown_table(&cells(scores, classes)), summary(scores))
}

/// Plain text with aligned columns; the first row is the header. Ends in a newline.
pub(crate) fn aligned_table(table: &[Vec<String>]) -> String {
    let widths = widths(table);
    let rule = widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("──");
    let mut lines: Vec<String> =
        table.iter().map(|row| padded(row, &widths).join("  ").trim_end().to_owned()).collect();
    lines.insert(1, rule);
    lines.join("\n") + "\n"
}

/// Rows of words with left-aligned columns, without a last newline.
pub fn left_aligned(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A Markdown table; the first row is the header. Ends in a newline.
pub(crate) fn markdown_table(table: &[Vec<String>]) -> String {
    let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let table: Vec<Vec<String>> = table.iter().map(escaped).collect();
    // The rule of a column needs a hyphen and a colon.
    let widths: Vec<usize> = widths(&table).into_iter().map(|width| width.max(2)).collect();
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" })
        .collect();
    let mut rows: Vec<Vec<String>> = table.iter().map(|row| padded(row, &widths)).collect();
    rows.insert(1, rule);
    let lines: Vec<String> = rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect();
    lines.join("\n") + "\n"
}

/// Header and one row per class; the penalized column only if a class was missed.
fn cells(scores: &Scores, classes: &[String]) -> Vec<Vec<String>> {
    let rows = class_rows(scores, classes);
    let any_missed = rows.iter().any(|row| row.penalized_hd95.is_some());
    let nsd = format!("NSD ({} mm)", scores.tolerance_mm);
    let mut header = vec!["Class", "Dice", "95 % CI", "HD95 (mm)"];
    header.extend(any_missed.then_some("HD95 penalized"));
    header.extend([&nsd, "ASSD (mm)", "Cases", "Missed"]);
    let mut table = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    table.extend(rows.into_iter().map(|row| {
        let [dice, hd95, nsd, assd] = row.means;
        let penalized = any_missed.then(|| row.penalized_hd95.unwrap_or_else(|| UNDEFINED.to_owned()));
        let mut cells = vec![one_line(&row.class), dice, row.dice_ci95, hd95];
        cells.extend(penalized);
        cells.extend([nsd, assd, row.cases.to_string(), row.missed.to_string()]);
        cells
    }));
    table
}

/// Text without line breaks and other control characters.
pub(crate) fn one_line(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn summary(scores: &Scores) -> String {
    format!(
        "mean Dice {} over {} (mean ± std, 95 % bootstrap CI; missed = Dice 0); convention {}",
        format_score(scores.mean_dice(), 3),
        cases(scores.cases.len()),
        scores.convention,
    )
}

/// Width of each column in characters.
fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let columns = table.first().map_or(0, Vec::len);
    (0..columns)
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect()
}

/// First column left-aligned, others right-aligned.
fn padded(row: &[String], widths: &[usize]) -> Vec<String> {
    row.iter()
        .zip(widths)
        .enumerate()
        .map(
            |(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        )
        .collect()
}
