//! Report of a probe of prompts: plain text, Markdown and HTML with pictures.

use askama::Template;
use bipvl_prompts::probe::{
    Calibration, CompanySummary, KindSummary, Mean, Measures, ProbeExample, ProbeKind, ProbeResult,
};

use crate::{
    Result,
    folds::cases,
    prompt_example::ExampleFigure,
    reliability::reliability_diagram,
    rows::format_score,
    table::{aligned_table, markdown_table, one_line},
};

/// Results of a probe of prompts.
#[derive(Clone, Debug)]
pub struct PromptProbeReport {
    /// Heading.
    pub title: String,
    /// Measures.
    pub result: ProbeResult,
    /// Answers to draw.
    pub examples: Vec<ProbeExample>,
}

/// Data of the template, which escapes all text; only the figure is markup.
#[derive(Template)]
#[template(path = "prompt_probe.html")]
struct Page<'a> {
    title: &'a str,
    tiles: Vec<(String, &'static str)>,
    tables: Vec<Table>,
    diagram: Option<String>,
    examples: Vec<ExampleFigure<'a>>,
    notes: Vec<String>,
}

/// A table with heading and caption; the first row is the header.
struct Table {
    title: &'static str,
    caption: &'static str,
    cells: Vec<Vec<String>>,
}

/// A column of the main table.
type Column = (&'static str, fn(&Measures<Mean>) -> Option<Mean>);

const COLUMNS: [Column; 9] = [
    ("Dice", |measures| measures.dice),
    ("Difference", |measures| measures.difference),
    ("Nearest text", |measures| measures.dice_nearest),
    ("Nearest other", |measures| measures.dice_nearest_other),
    ("Inside", |measures| measures.inside),
    ("Inside the first", |measures| measures.inside_first),
    ("Dice with the first", |measures| measures.dice_first),
    ("Silent", |measures| measures.silent),
    ("Presence", |measures| measures.presence),
];

impl PromptProbeReport {
    /// As plain text.
    pub fn text(&self) -> String {
        let tables = self.tables();
        let tables =
            tables.iter().map(|table| format!("{}\n\n{}\n", table.title, aligned_table(&table.cells)));
        let notes = self.notes().into_iter().map(|note| note + "\n");
        tables.chain(notes).collect()
    }

    /// As Markdown, ending in a newline.
    pub fn markdown(&self) -> String {
        let tables = self.tables().into_iter().map(|table| {
            format!("## {}\n\n{}\n\n{}\n", table.title, table.caption, markdown_table(&table.cells))
        });
        let notes = self.notes().into_iter().map(|note| format!("- {note}\n"));
        format!("# {}\n\n{}{}", one_line(&self.title), tables.collect::<String>(), notes.collect::<String>())
    }

    /// As one HTML file without external references.
    ///
    /// # Errors
    ///
    /// If a figure cannot be drawn or the template not be rendered.
    pub fn html(&self) -> Result<String> {
        let calibration = self.result.calibration.as_ref();
        let page = Page {
            title: &self.title,
            tiles: self.tiles(),
            tables: self.tables(),
            diagram: calibration.map(reliability_diagram).transpose()?,
            examples: self.examples.iter().map(ExampleFigure::new).collect::<Result<_>>()?,
            notes: self.notes(),
        };
        Ok(page.render()?)
    }

    /// The figures that decide whether prompts are read.
    fn tiles(&self) -> Vec<(String, &'static str)> {
        let of_kind = |kind, measure: fn(&Measures<Mean>) -> Option<Mean>| {
            Some(measure(&self.result.kind(kind)?.measures)?.mean)
        };
        let auroc = self.result.calibration.as_ref().and_then(|calibration| calibration.auroc);
        let tiles = [
            (of_kind(ProbeKind::Trained, |measures| measures.dice), "Dice, trained names"),
            (of_kind(ProbeKind::HeldOut, |measures| measures.dice), "Dice, held-out phrases"),
            (of_kind(ProbeKind::SideExchanged, |measures| measures.inside), "in the twin, side exchanged"),
            (of_kind(ProbeKind::Absent, |measures| measures.silent), "silent, absent"),
            (of_kind(ProbeKind::Nonsense, |measures| measures.silent), "silent, nonsense"),
            (auroc, "AUROC of presence"),
        ];
        let tiles = tiles.into_iter().filter(|(value, _)| value.is_some());
        tiles.map(|(value, name)| (format_score(value, 3), name)).collect()
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![Table {
            title: "Prompts",
            caption: "Means over prompts; in parentheses how many could be measured, where not all. Inside: the share of the \
                      voxels found that lie in what the prompt names; the first is the structure whose words were exchanged. \
                      Silent: the share of prompts that find fewer than 8 voxels where nothing should be found. Nearest text: \
                      Dice of the answer to the trained text with the most words in common, which a lookup would give; nearest \
                      other leaves out the texts of wholes that contain what is named. A network that reads is well above both.",
            cells: prompts(&self.result.kinds),
        }];
        if !self.result.company.is_empty() {
            tables.push(Table {
                title: "Company",
                caption: "The same prompt alone and beside others. Changed: voxels found alone or in company but not in both, as \
                          a share of those found in either.",
                cells: company(&self.result.company),
            });
        }
        if let Some(calibration) = &self.result.calibration {
            tables.push(Table {
                title: "Presence",
                caption: "All concepts under their own names, by the presence that the network gives them.",
                cells: reliability(calibration),
            });
        }
        tables
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("{}, seed {}", cases(self.result.cases), self.result.seed)];
        if let Some(Calibration { auroc, ece, n, .. }) = self.result.calibration {
            notes.push(format!(
                "presence: AUROC {}, expected calibration error {}, {n} prompts",
                format_score(auroc, 3),
                format_score(Some(ece), 3)
            ));
        }
        if self.result.kind(ProbeKind::OtherSet).is_some() {
            let title = ProbeKind::OtherSet.title();
            notes.push(format!(
                "{title}: concepts that only other data sets label; silence is right only where these scans do not show them"
            ));
        }
        notes
    }
}

/// Without the columns that no kind has.
fn prompts(kinds: &[KindSummary]) -> Vec<Vec<String>> {
    let measured: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(_, measure)| kinds.iter().any(|kind| measure(&kind.measures).is_some()))
        .collect();
    let header = ["Prompt", "n"].into_iter().chain(measured.iter().map(|(name, _)| *name));
    let row = |kind: &KindSummary| {
        let cells = measured.iter().map(|(_, measure)| cell(measure(&kind.measures), kind.n));
        [kind.kind.title().to_owned(), kind.n.to_string()].into_iter().chain(cells).collect()
    };
    with_header(header, kinds.iter().map(row))
}

fn company(sizes: &[CompanySummary]) -> Vec<Vec<String>> {
    let row = |size: &CompanySummary| {
        let cells = [size.changed, size.dice, size.difference].map(|mean| cell(mean, size.n));
        [size.others.to_string(), size.n.to_string()].into_iter().chain(cells).collect()
    };
    with_header(["Other prompts", "n", "Changed", "Dice", "Difference"].into_iter(), sizes.iter().map(row))
}

fn reliability(calibration: &Calibration) -> Vec<Vec<String>> {
    let rows = calibration.bins.iter().map(|bin| {
        let range = format!("{:.1}–{:.1}", bin.low, bin.high);
        vec![range, bin.n.to_string(), format_score(bin.presence, 3), format_score(bin.present, 3)]
    });
    with_header(["Presence", "n", "Mean presence", "Share there"].into_iter(), rows)
}

/// The mean, and how many prompts it is of unless it is of all.
fn cell(mean: Option<Mean>, n: usize) -> String {
    let score = format_score(mean.map(|mean| mean.mean), 3);
    match mean {
        Some(mean) if mean.n < n => format!("{score} ({})", mean.n),
        _ => score,
    }
}

fn with_header<'a>(
    header: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Vec<Vec<String>> {
    std::iter::once(header.map(str::to_owned).collect()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt_example::tests::example;

    fn kind(kind: ProbeKind, n: usize, measures: Measures<Mean>) -> KindSummary {
        KindSummary { kind, n, measures }
    }

    fn report() -> PromptProbeReport {
        let mean = |mean, n| Some(Mean { mean, n });
        let result = ProbeResult {
            seed: 7,
            cases: 3,
            kinds: vec![
                kind(ProbeKind::Trained, 4, Measures { dice: mean(0.95, 4), ..Measures::default() }),
                kind(
                    ProbeKind::SideExchanged,
                    4,
                    Measures { dice: mean(0.9, 3), inside: mean(0.975, 3), ..Measures::default() },
                ),
                kind(ProbeKind::OtherSet, 2, Measures { silent: mean(0.5, 2), ..Measures::default() }),
            ],
            company: vec![CompanySummary {
                others: 16,
                n: 4,
                changed: mean(0.025, 4),
                dice: mean(0.94, 4),
                difference: mean(-0.01, 4),
            }],
            calibration: Calibration::new(&[(0.95, true), (0.15, false)]),
            records: Vec::new(),
            company_records: Vec::new(),
        };
        let examples = vec![example(ProbeKind::SideExchanged, true), example(ProbeKind::Nonsense, false)];
        PromptProbeReport { title: "Bodies <1>".to_owned(), result, examples }
    }

    #[test]
    fn plain_text_has_a_column_for_what_was_measured() {
        let expected = "\
Prompts

Prompt          n       Dice     Inside  Silent
───────────────────────────────────────────────
trained name    4      0.950          –       –
side exchanged  4  0.900 (3)  0.975 (3)       –
other data set  2          –          –   0.500

Company

Other prompts  n  Changed   Dice  Difference
────────────────────────────────────────────
16             4    0.025  0.940      -0.010
";
        let text = report().text();
        assert!(text.starts_with(expected), "{text}");
        // (0.05 + 0.15) / 2
        assert!(text.contains("AUROC 1.000, expected calibration error 0.100, 2 prompts"), "{text}");
        assert!(text.contains("3 cases, seed 7") && text.contains("only other data sets label"), "{text}");
    }

    #[test]
    fn the_page_is_self_contained_and_escapes_prompts() {
        let html = report().html().unwrap();
        assert!(html.contains("Bodies &#60;1&#62;") && html.contains("right &#38; &#60;ring&#62;"), "{html}");
        assert_eq!(html.matches("data:image/png;base64,").count(), 2);
        assert!(html.contains("nothing found") && html.contains("<circle"), "{html}");
        assert!(!html.contains("http://www.w3.org/1999") && !html.contains("src=\"http"), "{html}");
        assert!(report().markdown().contains("| side exchanged |  4 | 0.900 (3) |"));
    }
}
