//! Evaluation of label map files, and reports: tables, training curves, overlays, HTML.

mod boxes;
mod canvas;
pub mod concepts;
mod curves;
mod definitions;
mod display_range;
mod error;
pub mod evaluate;
#[cfg(test)]
mod example;
pub mod folds;
pub mod history;
mod html;
pub mod overlay;
mod palette;
pub mod probe;
mod prompt_example;
pub mod prompt_probe;
mod raster;
mod reliability;
pub mod rows;
mod slice;
mod smoothing;
pub mod table;
pub mod table_page;

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use bipvl_io::{FileError, atomic_write};
use bipvl_metrics::Scores;

use boxes::dice_boxes;
use concepts::ConceptSection;
use curves::Curves;
use history::History;
use overlay::Overlay;

pub use error::{Error, Result};

/// The content of a report.
pub struct Report {
    /// Heading.
    pub title: String,
    /// Names and values: command, seed, model size, … Convention and tolerance are added.
    pub settings: Vec<(String, String)>,
    /// Class names in the order of tables and colors.
    pub classes: Vec<String>,
    /// Scores of all cases.
    pub scores: Scores,
    /// Training histories: none, one of a run, or one per fold.
    pub histories: Vec<History>,
    /// Overlays of some cases.
    pub overlays: Vec<Overlay>,
    /// Effect of each sentence on one case.
    pub concepts: Option<ConceptSection>,
}

impl Report {
    /// Writes the report atomically as one self-contained HTML file.
    ///
    /// # Errors
    ///
    /// If a figure cannot be drawn or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let html = self.html()?;
        Ok(atomic_write(path, html.as_bytes())?)
    }

    /// Writes all figures as SVG files into `folder`: curves, box plot, and `overlays/CASE.svg`.
    ///
    /// # Errors
    ///
    /// If a figure cannot be drawn or written.
    pub fn write_figures(&self, folder: &Path) -> Result<()> {
        let Curves { dice, losses } = Curves::new(&self.histories, &self.classes)?;
        let boxes = dice_boxes(&self.scores, &self.classes)?;
        let named = [("dice.svg", dice), ("dice-boxes.svg", boxes)];
        let named = named.into_iter().filter_map(|(name, svg)| Some((name, svg?)));
        for (name, svg) in losses.into_iter().chain(named) {
            atomic_write(&folder.join(name), svg.as_bytes())?;
        }
        if !self.overlays.is_empty() {
            let folder = folder.join("overlays");
            fs::create_dir_all(&folder).map_err(|error| FileError::new(&folder, error))?;
            for overlay in &self.overlays {
                // An id may contain separators; the file must stay in the folder.
                let name = overlay.case.replace(['/', '\\'], "_");
                atomic_write(&folder.join(format!("{name}.svg")), overlay.svg.as_bytes())?;
            }
        }
        Ok(())
    }
}
