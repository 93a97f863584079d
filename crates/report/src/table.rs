//! Tables of text, for a terminal and as Markdown; first that of the means of each class.

use bipvl_metrics::Scores;

use crate::rows::{UNDEFINED, class_rows, number};

/// The table with aligned columns, ending in a newline.
pub fn text(scores: &Scores, classes: &[String]) -> String {
    format!("{}\n{}\n", aligned(&cells(scores, classes)), summary(scores))
}

/// The table as Markdown, ending in a newline.
pub fn markdown(scores: &Scores, classes: &[String]) -> String {
    format!("{}\n{}\n", marked(&cells(scores, classes)), summary(scores))
}

/// Rows of cells, a header first, with aligned columns and a rule for a terminal; ends in a newline.
pub(crate) fn aligned(table: &[Vec<String>]) -> String {
    let widths = widths(table);
    let rule = widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("──");
    let mut lines: Vec<String> =
        table.iter().map(|row| padded(row, &widths).join("  ").trim_end().to_owned()).collect();
    lines.insert(1, rule);
    lines.join("\n") + "\n"
}

/// Rows of cells, a header first, as a table of Markdown; ends in a newline.
pub(crate) fn marked(table: &[Vec<String>]) -> String {
    let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|")).collect();
    let table: Vec<Vec<String>> = table.iter().map(escaped).collect();
    let widths = widths(&table);
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

/// The header and one row per class; the penalized column stands only where a class was missed.
fn cells(scores: &Scores, classes: &[String]) -> Vec<Vec<String>> {
    let rows = class_rows(scores, classes);
    let any_missed = rows.iter().any(|row| row.penalized_hd95.is_some());
    let nsd = format!("NSD at {} mm", scores.tolerance_mm);
    let mut header = vec!["Class", "Dice", "HD95 mm"];
    header.extend(any_missed.then_some("HD95 mm, misses penalized"));
    header.extend([&nsd, "ASSD mm", "Cases", "Missed"]);
    let mut table = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    table.extend(rows.into_iter().map(|row| {
        let [dice, hd95, nsd, assd] = row.means;
        let penalized = any_missed.then(|| row.penalized_hd95.unwrap_or_else(|| UNDEFINED.to_owned()));
        let mut cells = vec![one_line(&row.class), dice, hd95];
        cells.extend(penalized);
        cells.extend([nsd, assd, row.cases.to_string(), row.missed.to_string()]);
        cells
    }));
    table
}

/// A name that cannot break out of its row.
pub(crate) fn one_line(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn summary(scores: &Scores) -> String {
    let count = scores.cases.len();
    let cases = if count == 1 { "1 case".to_owned() } else { format!("{count} cases") };
    format!(
        "mean Dice {} over {cases}; convention {}; a missed class counts as Dice 0",
        number(scores.mean_dice(), 3),
        scores.convention,
    )
}

/// The longest cell of each column, in characters.
fn widths(table: &[Vec<String>]) -> Vec<usize> {
    let columns = table.first().map_or(0, Vec::len);
    (0..columns)
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect()
}

/// Names to the left, numbers to the right.
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
