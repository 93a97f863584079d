//! Report of a text-sensitivity analysis (`bipvl probe`): plain text, Markdown and HTML.

use std::path::Path;

use askama::Template;
use bipvl_infer::probe::{PairedComparison, PerturbationRow, SensitivitySummary};
use bipvl_io::atomic_write;
use bipvl_text::perturbations::Perturbation;

use crate::{
    Result,
    folds::cases,
    rows::{UNDEFINED, format_score},
    table::{aligned_table, markdown_table, one_line},
};

/// With fewer cases, bootstrap intervals are too narrow.
const MIN_CASES: usize = 10;
/// Texts that describe nothing in the image.
const UNINFORMATIVE: [Perturbation; 3] =
    [Perturbation::AbsentOrgan, Perturbation::Pseudowords, Perturbation::Empty];

/// Results of a text-sensitivity analysis.
pub struct ProbeReport {
    /// Heading.
    pub title: String,
    /// Results.
    pub summary: SensitivitySummary,
    /// Whether the network has per-class scales, and so distinguishes the order of the texts.
    pub has_class_scale: bool,
}

/// Data of the template, which escapes all text.
#[derive(Template)]
#[template(path = "probe.html")]
struct Page<'a> {
    title: &'a str,
    dice: String,
    cases: usize,
    texts: usize,
    worse: usize,
    tables: [Table; 3],
    rows: &'a [PerturbationRow],
    notes: Vec<String>,
}

/// A table with heading and caption.
struct Table {
    title: &'static str,
    caption: &'static str,
    /// The header, then rows.
    cells: Vec<Vec<String>>,
}

impl Table {
    fn has_rows(&self) -> bool {
        self.cells.len() > 1
    }
}

impl ProbeReport {
    /// As plain text.
    pub fn text(&self) -> String {
        let tables = self.tables();
        let tables = tables[..2].iter().filter(|table| table.has_rows());
        let tables = tables.map(|table| format!("{}\n\n{}\n", table.title, aligned_table(&table.cells)));
        tables.collect::<String>() + &self.notes().join("\n")
    }

    /// As Markdown, ending in a newline.
    pub fn markdown(&self) -> String {
        let tables = self.tables().into_iter().filter(Table::has_rows);
        let tables = tables.map(|table| {
            format!("## {}\n\n{}\n\n{}\n", table.title, table.caption, markdown_table(&table.cells))
        });
        let notes = self.notes().into_iter().map(|note| format!("- {note}\n"));
        format!("# {}\n\n{}{}", one_line(&self.title), tables.collect::<String>(), notes.collect::<String>())
    }

    /// As one self-contained HTML file.
    ///
    /// # Errors
    ///
    /// If the template cannot be rendered.
    pub fn html(&self) -> Result<String> {
        let rows = &self.summary.rows;
        let page = Page {
            title: &self.title,
            dice: format_score(rows.first().and_then(|row| row.mean.dice), 3),
            cases: self.summary.cases,
            texts: rows.len(),
            worse: rows.iter().filter(|row| effect(&row.mean) == "worse").count(),
            tables: self.tables(),
            rows,
            notes: self.notes(),
        };
        Ok(page.render()?)
    }

    /// Writes `probe.json`, `probe.md` and `probe.html` into a folder.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (name, text) in [
            ("probe.json", serde_json::to_string_pretty(&self.summary)?),
            ("probe.md", self.markdown()),
            ("probe.html", self.html()?),
        ] {
            atomic_write(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    fn tables(&self) -> [Table; 3] {
        [
            Table {
                title: "Dice by text",
                caption: "Mean over the classes of a case, then over the cases. Differences are to the original text, \
                        paired by case, with 95 % bootstrap confidence intervals.",
                cells: self.means(),
            },
            Table {
                title: "Volume predicted with uninformative text",
                caption: "Mean volume per case with the text of a structure that the data set does not contain, with \
                        nonsense words, and with empty text. A network that uses its text predicts little.",
                cells: self.uninformative(),
            },
            Table {
                title: "Difference in Dice by class",
                caption: "To the original text, with 95 % bootstrap confidence intervals.",
                cells: self.by_class(),
            },
        ]
    }

    fn means(&self) -> Vec<Vec<String>> {
        let header = ["Text", "Dice", "Difference", "95 % CI", "Effect", "Predicted (ml)", "Changed (ml)"];
        let row = |row: &PerturbationRow| {
            let predicted: f64 = row.classes.values().map(|class| class.predicted_ml).sum();
            let mut cells = vec![one_line(&row.variant), format_score(row.mean.dice, 3)];
            cells.extend(difference_and_interval(&row.mean));
            cells.extend([effect(&row.mean).to_owned(), volume(predicted), volume(row.changed_ml)]);
            cells
        };
        with_header(&header, self.summary.rows.iter().map(row))
    }

    fn uninformative(&self) -> Vec<Vec<String>> {
        let header = [
            "Text",
            "Class",
            "Predicted (ml)",
            "Original text (ml)",
            "Reference (ml)",
            "Dice difference",
            "95 % CI",
        ];
        let trained = self.summary.rows.first();
        let rows = self.summary.rows.iter().filter(|row| UNINFORMATIVE.contains(&row.kind));
        let cells = rows.flat_map(|row| {
            let is_meant = |name: &String| row.class.as_ref().is_none_or(|class| class == name);
            row.classes.iter().filter(move |(name, _)| is_meant(name)).map(move |(name, class)| {
                let before = trained.and_then(|row| row.classes.get(name)).map(|class| class.predicted_ml);
                let mut cells = vec![one_line(&row.variant), one_line(name), volume(class.predicted_ml)];
                cells.push(before.map_or_else(|| UNDEFINED.to_owned(), volume));
                cells.push(volume(class.reference_ml));
                cells.extend(difference_and_interval(&class.dice));
                cells
            })
        });
        with_header(&header, cells)
    }

    fn by_class(&self) -> Vec<Vec<String>> {
        let names = self.summary.rows.first().map(|row| row.classes.keys()).into_iter().flatten();
        let header: Vec<String> =
            std::iter::once("Text".to_owned()).chain(names.map(|name| one_line(name))).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows = self.summary.rows.iter().map(|row| {
            let classes = row.classes.values().map(|class| match class.dice.difference {
                Some(_) => difference_and_interval(&class.dice).join(" "),
                None => format_score(class.dice.dice, 3),
            });
            std::iter::once(one_line(&row.variant)).chain(classes).collect()
        });
        with_header(&header, rows)
    }

    /// Notes on the interpretation, and skipped texts.
    fn notes(&self) -> Vec<String> {
        let SensitivitySummary { cases: count, bootstrap, rows, skipped } = &self.summary;
        let mut notes = vec![format!(
            "{}; {:.0} % confidence intervals by percentile bootstrap over the cases ({} resamples, seed {}); not corrected \
             for multiple comparisons",
            cases(*count),
            100.0 * bootstrap.confidence,
            bootstrap.resamples,
            bootstrap.seed
        )];
        if *count < MIN_CASES {
            notes.push(format!("fewer than {MIN_CASES} cases: the intervals are too narrow"));
        }
        let mut permuted = rows.iter().skip(1).filter(|row| sorted(&row.texts) == sorted(&rows[0].texts));
        if let Some(row) = permuted.next().filter(|_| !self.has_class_scale) {
            notes.push(format!(
                "\"{}\" only permutes the texts of the classes, and this network (without class scale) is invariant to \
                 their order up to rounding",
                row.variant
            ));
        }
        for row in rows.iter().filter(|row| row.truncated_texts > 0) {
            notes.push(format!(
                "\"{}\": texts truncated to the maximum length: {}",
                row.variant, row.truncated_texts
            ));
        }
        notes.extend(
            skipped.iter().map(|skipped| format!("\"{}\" was skipped: {}", skipped.variant, skipped.reason)),
        );
        notes
    }
}

fn with_header(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    std::iter::once(header).chain(rows).collect()
}

/// The difference and its confidence interval.
fn difference_and_interval(compared: &PairedComparison) -> [String; 2] {
    match compared.difference {
        Some(interval) => {
            let [low, high] = [interval.low, interval.high].map(signed);
            [signed(interval.mean), format!("[{low}, {high}]")]
        }
        None => [UNDEFINED, UNDEFINED].map(str::to_owned),
    }
}

/// `worse` or `better` if the confidence interval excludes 0.
fn effect(compared: &PairedComparison) -> &'static str {
    match compared.difference {
        Some(interval) if interval.cases > 1 && interval.high < 0.0 => "worse",
        Some(interval) if interval.cases > 1 && interval.low > 0.0 => "better",
        _ => "",
    }
}

/// Three decimals with a sign; zero has none.
fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    if text[1..].bytes().all(|digit| matches!(digit, b'0' | b'.')) { text[1..].to_owned() } else { text }
}

/// Milliliters with at least three significant digits.
fn volume(ml: f64) -> String {
    let digits = if ml >= 100.0 {
        0
    } else if ml >= 10.0 {
        1
    } else {
        2
    };
    format!("{ml:.digits$}")
}

fn sorted(texts: &[String]) -> Vec<&String> {
    let mut texts: Vec<&String> = texts.iter().collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use bipvl_infer::probe::{ClassResult, SkippedPerturbation};
    use bipvl_metrics::bootstrap::{Bootstrap, Interval};

    use super::*;

    fn row(
        variant: &str,
        kind: Perturbation,
        difference: Option<[f64; 3]>,
        texts: [&str; 2],
    ) -> PerturbationRow {
        let difference = difference.map(|[mean, low, high]| Interval { mean, low, high, cases: 3 });
        let dice = PairedComparison { dice: Some(0.8), difference };
        let class =
            |name: &str, ml| (name.to_owned(), ClassResult { dice, predicted_ml: ml, reference_ml: 20.0 });
        PerturbationRow {
            variant: variant.to_owned(),
            kind,
            class: (kind == Perturbation::AbsentOrgan).then(|| "a|b".to_owned()),
            truncated_texts: usize::from(kind == Perturbation::AbsentOrgan),
            mean: dice,
            changed_ml: 1.5,
            classes: [class("a|b", 12.25), class("<c>", 100.0)].into_iter().collect(),
            texts: texts.map(str::to_owned).to_vec(),
        }
    }

    fn report() -> ProbeReport {
        let rows = vec![
            row("as trained", Perturbation::Original, None, ["one", "two"]),
            row("shuffled", Perturbation::Shuffle, Some([-0.0001, -0.0004, 0.0002]), ["two", "one"]),
            row("absent", Perturbation::AbsentOrgan, Some([-0.25, -0.5, -0.125]), ["three", "two"]),
            row("reworded", Perturbation::Paraphrase, Some([0.0125, 0.0061, 0.02]), ["one", "2"]),
        ];
        let skipped =
            vec![SkippedPerturbation { variant: "sides".to_owned(), reason: "nothing to swap".to_owned() }];
        let summary = SensitivitySummary { cases: 3, bootstrap: Bootstrap::with_seed(7), rows, skipped };
        ProbeReport { title: "Phantoms".to_owned(), summary, has_class_scale: false }
    }

    #[test]
    fn plain_text_shows_the_effect_of_each_text() {
        let expected = "\
Dice by text

Text         Dice  Difference           95 % CI  Effect  Predicted (ml)  Changed (ml)
─────────────────────────────────────────────────────────────────────────────────────
as trained  0.800           –                 –                     112          1.50
shuffled    0.800       0.000    [0.000, 0.000]                     112          1.50
absent      0.800      -0.250  [-0.500, -0.125]   worse             112          1.50
reworded    0.800      +0.013  [+0.006, +0.020]  better             112          1.50

Volume predicted with uninformative text

Text    Class  Predicted (ml)  Original text (ml)  Reference (ml)  Dice difference           95 % CI
────────────────────────────────────────────────────────────────────────────────────────────────────
absent    a|b            12.2                12.2            20.0           -0.250  [-0.500, -0.125]
";
        let text = report().text();
        assert!(text.starts_with(expected), "{text}");
        for note in [
            "seed 7",
            "fewer than 10 cases: the intervals are too narrow",
            "\"shuffled\" only permutes the texts of the classes",
            "\"absent\": texts truncated to the maximum length: 1",
            "\"sides\" was skipped: nothing to swap",
        ] {
            assert!(text.contains(note), "{note} in\n{text}");
        }
    }

    #[test]
    fn permutation_invariance_is_noted_only_without_class_scale() {
        let note = "only permutes the texts of the classes";
        assert!(report().text().contains(note));
        assert!(!ProbeReport { has_class_scale: true, ..report() }.text().contains(note));
    }

    #[test]
    fn names_are_escaped_in_markdown_and_html() {
        let markdown = report().markdown();
        assert!(markdown.contains("a\\|b") && markdown.contains("| -0.250 [-0.500, -0.125] |"), "{markdown}");
        let html = report().html().unwrap();
        assert!(html.contains("<td class=\"bad\">worse</td>") && html.ends_with("</html>"), "{html}");
        assert!(!html.contains("<c>") && !html.contains("http"), "{html}");
    }
}
