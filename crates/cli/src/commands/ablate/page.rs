//! The table as Markdown and as one HTML file.

use bipvl_report::{
    rows::{UNDEFINED, number},
    table_page::TablePage,
};

use super::table::{Line, Table};
use crate::commands::info::grouped;

const HEADER: [&str; 12] = [
    "Factor",
    "Setting",
    "Row",
    "Dice",
    "Difference to full, 95 %",
    "Parameters",
    "GFLOP per window",
    "s per step",
    "s per window",
    "Text in the window",
    "Peak MiB",
    "Runs",
];
impl Table {
    /// The table with its heading and notes.
    pub(super) fn page(&self) -> TablePage {
        TablePage {
            title: self.title(),
            header: HEADER.map(str::to_owned).to_vec(),
            rows: self.rows.iter().map(|row| row.cells(self.seeds.len()).to_vec()).collect(),
            notes: self.notes(),
        }
    }

    fn title(&self) -> String {
        format!("{}: what each part of the method is good for", self.data)
    }

    /// What the columns mean.
    fn notes(&self) -> Vec<String> {
        let Self { judges, cases, bootstrap, .. } = self;
        vec![
            format!(
                "Dice: mean over classes, {cases} {judges} and seeds, on the grid of each \
                 file; a missed class and a false alarm count as 0. ± is the standard deviation over the seeds."
            ),
            format!(
                "Difference: to the row full, case by case after the mean over seeds, with the {:.0} % interval of \
                 a paired bootstrap over the cases ({} draws). What other training cases would change is not in it.",
                bootstrap.confidence * 100.0,
                bootstrap.resamples
            ),
            "Parameters: of the modules that the training of the row reads. GFLOP: multiplications and additions in \
             matrix products and convolutions of one window of a prediction; what of the text no image changes is \
             encoded once and not counted."
                .to_owned(),
            "Times: medians on the machine that trained. Text in the window: the share of its time that a window \
             through the vision side alone does not take, the least of five by turns. Peak: most resident memory of the \
             process that trained, its data included."
                .to_owned(),
            "The row full is the configuration as it was given: all concepts of the descriptions, and a text encoder \
             that learns from nothing. Vision only keeps the supervision of the class embeddings, which reads no text."
                .to_owned(),
            "Vision to text: no logit reads a text, and the informed text takes part in the global alignment alone."
                .to_owned(),
        ]
    }
}

impl Line {
    fn cells(&self, seeds: usize) -> [String; HEADER.len()] {
        let dice = match (&self.dice, &self.note) {
            (Some(dice), _) if self.runs > 1 => format!("{:.3} ± {:.3}", dice.mean, dice.std_over_seeds),
            (Some(dice), _) => format!("{:.3}", dice.mean),
            (None, note) => note.clone().unwrap_or_else(|| UNDEFINED.to_owned()),
        };
        let difference = self.difference.map_or_else(
            || UNDEFINED.to_owned(),
            |of| format!("{:+.3} ({:+.3} to {:+.3})", of.mean, of.low, of.high).replace('-', "−"),
        );
        let cost = self.cost;
        let count = |count: Option<String>| count.unwrap_or_else(|| UNDEFINED.to_owned());
        [
            self.factor.to_owned(),
            self.what.to_owned(),
            self.row.to_owned(),
            dice,
            difference,
            count(cost.map(|cost| grouped(cost.parameters))),
            number(cost.map(|cost| cost.gflop_per_window), 2),
            number(cost.and_then(|cost| cost.seconds_per_step), 3),
            number(cost.map(|cost| cost.seconds_per_window), 3),
            count(cost.map(|cost| format!("{:.0} %", cost.text_share * 100.0))),
            count(cost.and_then(|cost| cost.peak_mib).map(|mib| mib.to_string())),
            format!("{} of {seeds}", self.runs),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::example;

    #[test]
    fn every_row_stands_in_markdown_and_html_with_its_difference_or_the_reason_why_not() {
        let table = example();
        let page = table.page();
        let (markdown, html) = (page.markdown(), page.html().unwrap());
        for text in [&markdown, &html] {
            for part in
                ["vision-only", "−0.100 (−0.100 to −0.100)", "not run: needs --bert DIR", "1 of 2", "10000"]
            {
                assert!(text.contains(part), "{part} in\n{text}");
            }
        }
        let columns: Vec<usize> = markdown
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.matches('|').count())
            .collect();
        assert_eq!(columns, [13; 5]);
        assert!(html.contains("Made &#60;up&#62;") && !html.contains("<up>"), "{html}");
        assert!(!html.contains("http"), "the page needs no other");
    }
}
