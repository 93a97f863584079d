//! The report as one HTML file: style, curves and pictures are all inside.

use anyhow::{Context, Result};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::boxes::dice_boxes;
use crate::concepts::{Concepts, Section};
use crate::curves::Curves;
use crate::rows::{CaseRow, ClassRow, case_rows, class_rows, number};
use crate::{Report, definitions, palette};

/// What the template fills in; it escapes every text, the drawings alone are markup.
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
    /// Training logs, of which there are several in a cross-validation.
    folds: usize,
    curves: Curves,
    overlays: Vec<Picture<'a>>,
    concepts: Option<Section<'a>>,
    no_concepts: Option<&'static str>,
    definitions: Vec<(&'static str, &'static str)>,
}

/// A row and the color of its class.
struct Class {
    row: ClassRow,
    color: String,
}

/// An overlay and what its caption says.
struct Picture<'a> {
    case: &'a str,
    dice: String,
    remarks: Vec<String>,
    png: String,
}

impl Report {
    /// The report as the text of one HTML file that needs no other and no network.
    ///
    /// # Errors
    ///
    /// When a curve cannot be drawn.
    pub(crate) fn html(&self) -> Result<String> {
        let scores = &self.scores;
        let classes: Vec<Class> = class_rows(scores, &self.classes)
            .into_iter()
            .enumerate()
            .map(|(index, row)| Class { row, color: palette::hex(index) })
            .collect();
        let cases = case_rows(scores, &self.classes);
        let (concepts, no_concepts) = match &self.concepts {
            Some(Concepts::Drawn(maps)) => (Some(maps.section(&self.classes)?), None),
            Some(Concepts::Left(reason)) => (None, Some(*reason)),
            None => (None, None),
        };
        let curves = Curves::of(&self.histories, &self.classes)?;
        Page {
            title: &self.title,
            settings: self.all_settings(),
            mean_dice: number(scores.mean_dice(), 3),
            missed: classes.iter().map(|class| class.row.missed).sum(),
            any_penalized: classes.iter().any(|class| class.row.penalized_hd95.is_some()),
            classes,
            tolerance_mm: scores.tolerance_mm,
            overlays: self.pictures(&cases),
            concepts,
            no_concepts,
            cases,
            boxes: dice_boxes(scores, &self.classes)?,
            folds: self.histories.len(),
            curves,
            definitions: definitions::definitions(scores.convention),
        }
        .render()
        .context("the report cannot be filled in")
    }

    fn all_settings(&self) -> Vec<(String, String)> {
        let judged = [
            ("convention".to_owned(), self.scores.convention.to_string()),
            ("NSD tolerance".to_owned(), format!("{} mm", self.scores.tolerance_mm)),
        ];
        self.settings.iter().cloned().chain(judged).collect()
    }

    /// The overlays in the order of `cases`; those of cases without scores come last.
    fn pictures(&self, cases: &[CaseRow]) -> Vec<Picture<'_>> {
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
                    .map(|(class, cell)| match cell.words {
                        "" => format!("{class} {}", number(cell.dice, 3)),
                        words => format!("{class} {words}"),
                    })
                    .collect();
                Picture {
                    case: &overlay.case,
                    dice: number(row.and_then(|row| row.dice), 3),
                    remarks,
                    png: STANDARD.encode(&overlay.png),
                }
            })
            .collect()
    }
}
