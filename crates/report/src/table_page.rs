//! A page with one wide table, such as that of an ablation study.

use askama::Template;

use crate::Result;
use crate::table::one_line;

/// One table with a title above and notes below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "table.html")]
pub struct TablePage {
    /// Heading of the page.
    pub title: String,
    /// Column names.
    pub header: Vec<String>,
    /// Cells by row, as many as there are columns. The first three columns are text, the others numbers.
    pub rows: Vec<Vec<String>>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// Columns of text; the others are numbers and aligned right.
const TEXT_COLUMNS: usize = 3;

impl TablePage {
    /// The page as Markdown, ending in a newline.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let escaped =
            |cells: &[String]| cells.iter().map(|cell| one_line(cell).replace('|', "\\|")).collect();
        let rule = |column: usize| if column < TEXT_COLUMNS { "---" } else { "---:" }.to_owned();
        let rows: String = self.rows.iter().map(|row| line(escaped(row))).collect();
        let notes: Vec<String> = self.notes.iter().map(|note| format!("- {note}\n")).collect();
        format!(
            "# {}\n\n{}{}{rows}\n{}",
            one_line(&self.title),
            line(escaped(&self.header)),
            line((0..self.header.len()).map(rule).collect()),
            notes.concat(),
        )
    }

    /// The page as one HTML file without external references.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    pub fn html(&self) -> Result<String> {
        Ok(self.render()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stay_in_their_columns_and_text_stays_text() {
        let strings = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
        let page = TablePage {
            title: "Made <up>".to_owned(),
            header: strings(&["Factor", "Setting", "Row", "Dice"]),
            rows: vec![strings(&["a|b", "c\nd", "e", "0.5"])],
            notes: strings(&["one note"]),
        };
        let expected = "\
# Made <up>

| Factor | Setting | Row | Dice |
| --- | --- | --- | ---: |
| a\\|b | c d | e | 0.5 |

- one note
";
        assert_eq!(page.markdown(), expected);
        let html = page.html().unwrap();
        assert!(html.contains("Made &#60;up&#62;") && !html.contains("<up>"), "{html}");
        assert!(!html.contains("http"), "no external references");
    }
}
