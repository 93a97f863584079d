//! What a probe found, as tables for a terminal, as Markdown and as one HTML file.

use anyhow::{Context, Result};
use askama::Template;
use bipvl_infer::probe::{PairedComparison, PerturbationRow, SensitivitySummary};
use bipvl_text::perturbations::Perturbation;

use crate::{
    rows::{UNDEFINED, number},
    table::{aligned, marked, one_line},
};

/// Below so many cases an interval made of them is too narrow to be trusted.
const FEW_CASES: usize = 10;
/// Texts that speak of nothing that is there.
const WITHOUT_MEANING: [Perturbation; 3] =
    [Perturbation::AbsentOrgan, Perturbation::Pseudowords, Perturbation::Empty];

/// A summary and what it is of.
pub struct ProbeReport {
    /// What was measured, in a few words.
    pub title: String,
    /// The numbers.
    pub summary: SensitivitySummary,
    /// Whether the network is told which class a text is of.
    pub has_class_codes: bool,
}

/// What the template fills in; it escapes every text.
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

/// A table and what it shows.
struct Table {
    title: &'static str,
    about: &'static str,
    /// A header, then rows.
    cells: Vec<Vec<String>>,
}

impl Table {
    fn has_rows(&self) -> bool {
        self.cells.len() > 1
    }
}

impl ProbeReport {
    /// For a terminal.
    pub fn text(&self) -> String {
        let tables = self.tables();
        let tables = tables[..2].iter().filter(|table| table.has_rows());
        let tables = tables.map(|table| format!("{}\n\n{}\n", table.title, aligned(&table.cells)));
        tables.collect::<String>() + &self.notes().join("\n")
    }

    /// As Markdown, ending in a newline.
    pub fn markdown(&self) -> String {
        let tables = self.tables().into_iter().filter(Table::has_rows);
        let tables = tables
            .map(|table| format!("## {}\n\n{}\n\n{}\n", table.title, table.about, marked(&table.cells)));
        let notes = self.notes().into_iter().map(|note| format!("- {note}\n"));
        format!("# {}\n\n{}{}", one_line(&self.title), tables.collect::<String>(), notes.collect::<String>())
    }

    /// As one HTML file that needs no other.
    ///
    /// # Errors
    ///
    /// When the template cannot be filled in.
    pub fn html(&self) -> Result<String> {
        let rows = &self.summary.rows;
        let page = Page {
            title: &self.title,
            dice: number(rows.first().and_then(|row| row.mean.dice), 3),
            cases: self.summary.cases,
            texts: rows.len(),
            worse: rows.iter().filter(|row| verdict(&row.mean) == "worse").count(),
            tables: self.tables(),
            rows,
            notes: self.notes(),
        };
        page.render().context("the report of the probe cannot be filled in")
    }

    fn tables(&self) -> [Table; 3] {
        [
            Table {
                title: "Dice under each text",
                about: "Mean over the classes of a case, then over the cases; the difference is to the text as \
                        trained, paired by case.",
                cells: self.means(),
            },
            Table {
                title: "What is found where the text says nothing true",
                about: "Volumes per case, by a text of an organ that the data set does not have, by words that \
                        mean nothing, and by no words. A network that heeds its text finds little.",
                cells: self.without_meaning(),
            },
            Table {
                title: "Difference of Dice, class by class",
                about: "To the text as trained, with its 95 % interval.",
                cells: self.by_class(),
            },
        ]
    }

    fn means(&self) -> Vec<Vec<String>> {
        let header = ["Text", "Dice", "Difference", "95 % interval", "Verdict", "Predicted ml", "Changed ml"];
        let row = |row: &PerturbationRow| {
            let predicted: f64 = row.classes.values().map(|class| class.predicted_ml).sum();
            let mut cells = vec![one_line(&row.variant), number(row.mean.dice, 3)];
            cells.extend(in_words(&row.mean));
            cells.extend([verdict(&row.mean).to_owned(), volume(predicted), volume(row.changed_ml)]);
            cells
        };
        with_header(&header, self.summary.rows.iter().map(row))
    }

    fn without_meaning(&self) -> Vec<Vec<String>> {
        let header = [
            "Text",
            "Class",
            "Predicted ml",
            "As trained ml",
            "Reference ml",
            "Difference of Dice",
            "95 % interval",
        ];
        let trained = self.summary.rows.first();
        let rows = self.summary.rows.iter().filter(|row| WITHOUT_MEANING.contains(&row.kind));
        let cells = rows.flat_map(|row| {
            let is_meant = |name: &String| row.class.as_ref().is_none_or(|class| class == name);
            row.classes.iter().filter(move |(name, _)| is_meant(name)).map(move |(name, class)| {
                let before = trained.and_then(|row| row.classes.get(name)).map(|class| class.predicted_ml);
                let mut cells = vec![one_line(&row.variant), one_line(name), volume(class.predicted_ml)];
                cells.push(before.map_or_else(|| UNDEFINED.to_owned(), volume));
                cells.push(volume(class.reference_ml));
                cells.extend(in_words(&class.dice));
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
                Some(_) => in_words(&class.dice).join(" "),
                None => number(class.dice.dice, 3),
            });
            std::iter::once(one_line(&row.variant)).chain(classes).collect()
        });
        with_header(&header, rows)
    }

    /// How to read the numbers, and what is not among them.
    fn notes(&self) -> Vec<String> {
        let SensitivitySummary { cases, bootstrap, rows, skipped } = &self.summary;
        let mut notes = vec![format!(
            "{cases} cases; intervals of {:.0} % by {} draws of the cases, seed {}; of twenty texts without any \
             effect, one looks as if it had one",
            100.0 * bootstrap.confidence,
            bootstrap.resamples,
            bootstrap.seed
        )];
        if *cases < FEW_CASES {
            notes.push(format!("with fewer than {FEW_CASES} cases the intervals are too narrow"));
        }
        let mut exchanged = rows.iter().skip(1).filter(|row| sorted(&row.texts) == sorted(&rows[0].texts));
        if let Some(row) = exchanged.next().filter(|_| !self.has_class_codes) {
            notes.push(format!(
                "\"{}\" gives the texts of the classes in another order: the network reads them together and is not \
                 told which class a text is of, so only the rounding can differ",
                row.variant
            ));
        }
        for row in rows.iter().filter(|row| row.truncated_texts > 0) {
            notes.push(format!(
                "\"{}\": {} texts are too long to be read to the end",
                row.variant, row.truncated_texts
            ));
        }
        notes.extend(skipped.iter().map(|skipped| format!("no \"{}\": {}", skipped.variant, skipped.reason)));
        notes
    }
}

fn with_header(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    let header = header.iter().map(|name| (*name).to_owned()).collect();
    std::iter::once(header).chain(rows).collect()
}

/// The difference and its interval.
fn in_words(compared: &PairedComparison) -> [String; 2] {
    match compared.difference {
        Some(interval) => {
            let [low, high] = [interval.low, interval.high].map(signed);
            [signed(interval.mean), format!("[{low}, {high}]")]
        }
        None => [UNDEFINED, UNDEFINED].map(str::to_owned),
    }
}

/// What the interval says.
fn verdict(compared: &PairedComparison) -> &'static str {
    match compared.difference {
        Some(interval) if interval.cases > 1 && interval.high < 0.0 => "worse",
        Some(interval) if interval.cases > 1 && interval.low > 0.0 => "better",
        _ => "",
    }
}

/// Three digits with a sign, which zero has not.
fn signed(value: f64) -> String {
    let text = format!("{value:+.3}");
    if text[1..].bytes().all(|digit| matches!(digit, b'0' | b'.')) { text[1..].to_owned() } else { text }
}

/// Milliliters, in three digits or more.
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
        ProbeReport { title: "Phantoms".to_owned(), summary, has_class_codes: false }
    }

    #[test]
    fn the_terminal_shows_what_each_text_did() {
        let expected = "\
Dice under each text

Text         Dice  Difference     95 % interval  Verdict  Predicted ml  Changed ml
──────────────────────────────────────────────────────────────────────────────────
as trained  0.800           –                 –                    112        1.50
shuffled    0.800       0.000    [0.000, 0.000]                    112        1.50
absent      0.800      -0.250  [-0.500, -0.125]    worse           112        1.50
reworded    0.800      +0.013  [+0.006, +0.020]   better           112        1.50

What is found where the text says nothing true

Text    Class  Predicted ml  As trained ml  Reference ml  Difference of Dice     95 % interval
──────────────────────────────────────────────────────────────────────────────────────────────
absent    a|b          12.2           12.2          20.0              -0.250  [-0.500, -0.125]
";
        let text = report().text();
        assert!(text.starts_with(expected), "{text}");
        for note in [
            "seed 7",
            "fewer than 10 cases",
            "\"shuffled\" gives the texts of the classes in another order",
            "\"absent\": 1 texts are too long",
            "no \"sides\": nothing to swap",
        ] {
            assert!(text.contains(note), "{note} in\n{text}");
        }
    }

    #[test]
    fn an_exchange_that_the_network_cannot_see_is_told_of_only_where_it_cannot() {
        let note = "gives the texts of the classes in another order";
        assert!(report().text().contains(note));
        assert!(!ProbeReport { has_class_codes: true, ..report() }.text().contains(note));
    }

    #[test]
    fn names_stay_names_in_markdown_and_html() {
        let markdown = report().markdown();
        assert!(markdown.contains("a\\|b") && markdown.contains("| -0.250 [-0.500, -0.125] |"), "{markdown}");
        let html = report().html().unwrap();
        assert!(html.contains("<td class=\"bad\">worse</td>") && html.ends_with("</html>"), "{html}");
        assert!(!html.contains("<c>") && !html.contains("http"), "{html}");
    }
}
