//! The table as a page of the report.

use super::{AblationRow, AblationTable};
use crate::{
    rows::{UNDEFINED, format_count, format_score},
    table_page::TablePage,
};

const HEADER: [&str; 12] = [
    "Factor",
    "Setting",
    "Row",
    "Dice",
    "Difference to full, 95 %",
    "Parameters",
    "GFLOP per patch",
    "s per step",
    "s per patch",
    "Text share",
    "Peak MiB",
    "Runs",
];

impl AblationTable {
    /// The table with its heading and notes.
    pub fn page(&self) -> TablePage {
        TablePage {
            title: self.title(),
            header: HEADER.map(str::to_owned).to_vec(),
            rows: self.rows.iter().map(|row| row.cells(self.seeds.len()).to_vec()).collect(),
            notes: self.notes(),
        }
    }

    fn title(&self) -> String {
        format!("{}: ablation study", self.data)
    }

    /// What the columns mean.
    fn notes(&self) -> Vec<String> {
        let Self { evaluation, cases, bootstrap, .. } = self;
        let mut notes = vec![
            format!(
                "Dice: mean over classes, {cases} {evaluation} and seeds, at the original resolution; a missed class \
                 and a false alarm count as 0. ±: standard deviation over seeds."
            ),
            format!(
                "Difference: paired difference to the row full after averaging over seeds, with the {:.0} % interval \
                 of a bootstrap over cases ({} resamples). It does not reflect variation of the training set.",
                bootstrap.confidence * 100.0,
                bootstrap.resamples
            ),
            "Parameters: of the modules that the row trains. GFLOP: floating-point operations of matrix products and \
             convolutions per patch at inference; text features that do not depend on the image are cached and not \
             counted."
                .to_owned(),
            "Times: medians on the training machine. Text share: fraction of the time per patch beyond that of the \
             vision network alone, minimum of five interleaved runs. Peak: resident memory of the training process, \
             data included."
                .to_owned(),
        ];
        notes.extend_from_slice(&self.notes);
        notes
    }
}

impl AblationRow {
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
            self.factor.clone(),
            self.setting.clone(),
            self.row.clone(),
            dice,
            difference,
            count(cost.map(|cost| format_count(cost.parameters))),
            format_score(cost.map(|cost| cost.gflop_per_patch), 2),
            format_score(cost.and_then(|cost| cost.seconds_per_step), 3),
            format_score(cost.map(|cost| cost.seconds_per_patch), 3),
            count(cost.map(|cost| format!("{:.0} %", cost.text_share * 100.0))),
            count(cost.and_then(|cost| cost.peak_mib).map(|mib| mib.to_string())),
            format!("{} of {seeds}", self.runs),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn every_row_has_its_difference_or_the_reason_why_it_was_not_run() {
        let table = example();
        let page = table.page();
        let (markdown, html) = (page.markdown(), page.html().unwrap());
        for text in [&markdown, &html] {
            for part in [
                "vision-only",
                "−0.100 (−0.100 to −0.100)",
                "not run: requires two classes",
                "1 of 2",
                "10000",
            ] {
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
