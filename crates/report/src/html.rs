//! The report as one self-contained HTML file.

use askama::Template;

use crate::boxes::dice_boxes;
use crate::concepts::{ConceptSection, Section};
use crate::curves::Curves;
use crate::rows::{CaseRow, ClassRow, case_rows, class_rows, format_score};
use crate::{Report, Result, definitions, palette};

/// Data of the template, which escapes all text; only figures are markup.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    settings: Vec<(String, String)>,
    mean_dice: String,
    missed: usize,
    classes: Vec<Class>,
    any_penalized: bool,
    tolerance_mm: f64,
    cases: Vec<CaseRow>,
    boxes: Option<String>,
    /// Number of training histories: several for a cross-validation.
    folds: usize,
    curves: Curves,
    overlays: Vec<OverlayFigure<'a>>,
    concepts: Option<Section<'a>>,
    no_concepts: Option<&'static str>,
    definitions: Vec<(&'static str, &'static str)>,
}

/// A row and the color of its class.
struct Class {
    row: ClassRow,
    color: String,
}

/// An overlay and its caption.
struct OverlayFigure<'a> {
    case: &'a str,
    dice: String,
    remarks: Vec<String>,
    svg: &'a str,
}

impl Report {
    /// The report as one HTML file without external references.
    ///
    /// # Errors
    ///
    /// If a figure cannot be drawn or encoded.
    pub(crate) fn html(&self) -> Result<String> {
        let scores = &self.scores;
        let classes: Vec<Class> = class_rows(scores, &self.classes)
            .into_iter()
            .enumerate()
            .map(|(index, row)| Class { row, color: palette::hex(index) })
            .collect();
        let cases = case_rows(scores, &self.classes);
        let (concepts, no_concepts) = match &self.concepts {
            Some(ConceptSection::Maps(maps)) => (Some(maps.section(&self.classes)?), None),
            Some(ConceptSection::Unavailable(reason)) => (None, Some(*reason)),
            None => (None, None),
        };
        let curves = Curves::new(&self.histories, &self.classes)?;
        let page = Page {
            title: &self.title,
            settings: self.all_settings(),
            mean_dice: format_score(scores.mean_dice(), 3),
            missed: classes.iter().map(|class| class.row.missed).sum(),
            any_penalized: classes.iter().any(|class| class.row.penalized_hd95.is_some()),
            classes,
            tolerance_mm: scores.tolerance_mm,
            overlays: self.overlay_figures(&cases),
            concepts,
            no_concepts,
            cases,
            boxes: dice_boxes(scores, &self.classes)?,
            folds: self.histories.len(),
            curves,
            definitions: definitions::definitions(scores.convention),
        };
        Ok(page.render()?)
    }

    fn all_settings(&self) -> Vec<(String, String)> {
        let metrics = [
            ("convention".to_owned(), self.scores.convention.to_string()),
            ("NSD tolerance".to_owned(), format!("{} mm", self.scores.tolerance_mm)),
        ];
        self.settings.iter().cloned().chain(metrics).collect()
    }

    /// The overlays in the order of `cases`; cases without scores are last.
    fn overlay_figures(&self, cases: &[CaseRow]) -> Vec<OverlayFigure<'_>> {
        let rank = |case: &str| cases.iter().position(|row| row.case == case).unwrap_or(cases.len());
        let mut overlays: Vec<_> = self.overlays.iter().collect();
        overlays.sort_by_key(|overlay| rank(&overlay.case));
        overlays
            .into_iter()
            .map(|overlay| {
                let row = cases.get(rank(&overlay.case));
                let cells = row.map_or(&[][..], |row| &row.cells);
                let remarks = self
                    .classes
                    .iter()
                    .zip(cells)
                    .map(|(class, cell)| match cell.remark {
                        "" => format!("{class} {}", format_score(cell.dice, 3)),
                        remark => format!("{class} {remark}"),
                    })
                    .collect();
                OverlayFigure {
                    case: &overlay.case,
                    dice: format_score(row.and_then(|row| row.dice), 3),
                    remarks,
                    svg: &overlay.svg,
                }
            })
            .collect()
    }
}
