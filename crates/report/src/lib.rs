//! What a person sees after training and evaluation: tables, curves, pictures, one HTML file.

mod boxes;
mod canvas;
pub mod concepts;
mod curves;
mod definitions;
#[cfg(test)]
mod example;
pub mod folds;
pub mod history;
mod html;
mod letters;
pub mod overlay;
mod palette;
pub mod probe;
pub mod rows;
mod section;
mod smoothing;
pub mod table;
pub mod table_page;

#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;
use bipvl_io::atomic_write;
use bipvl_metrics::Scores;

use boxes::dice_boxes;
use concepts::Concepts;
use curves::Curves;
use history::History;
use overlay::Overlay;

/// Everything that one report tells.
pub struct Report {
    /// What was judged, in a few words.
    pub title: String,
    /// How it came about: command, seed, time, preset, parameters; convention and tolerance are added.
    pub settings: Vec<(String, String)>,
    /// Class names, in the order of tables and colors.
    pub classes: Vec<String>,
    /// The scores of every case.
    pub scores: Scores,
    /// The training logs: none, that of the run, or one of each fold.
    pub histories: Vec<History>,
    /// Pictures of some cases.
    pub overlays: Vec<Overlay>,
    /// What each sentence does to one case, where somebody looked.
    pub concepts: Option<Concepts>,
}

impl Report {
    /// Writes the report as one HTML file that needs no other; `path` never holds half of it.
    ///
    /// # Errors
    ///
    /// When a curve cannot be drawn or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let html = self.html()?;
        Ok(atomic_write(path, html.as_bytes())?)
    }

    /// Writes the curves and the boxes as pictures of their own into `folder`.
    ///
    /// # Errors
    ///
    /// When one cannot be drawn or written.
    pub fn write_pictures(&self, folder: &Path) -> Result<()> {
        let Curves { dice, losses } = Curves::of(&self.histories, &self.classes)?;
        let boxes = dice_boxes(&self.scores, &self.classes)?;
        let named = [("dice.svg", dice), ("dice-boxes.svg", boxes)];
        let named = named.into_iter().filter_map(|(name, svg)| Some((name, svg?)));
        for (name, svg) in losses.into_iter().chain(named) {
            atomic_write(&folder.join(name), svg.as_bytes())?;
        }
        Ok(())
    }
}
