//! What a person sees after training and evaluation: tables, curves, pictures, one HTML file.

pub(crate) mod curves;
mod definitions;
#[cfg(test)]
mod example;
pub(crate) mod history;
mod html;
mod letters;
pub(crate) mod overlay;
mod palette;
mod rows;
mod section;
mod smoothing;
pub(crate) mod table;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use bipvl_metrics::Scores;

use history::History;
use overlay::Overlay;

/// Everything that one report tells.
pub(crate) struct Report {
    /// What was judged, in a few words.
    pub(crate) title: String,
    /// How it came about: command, seed, time, preset, parameters; convention and tolerance are added.
    pub(crate) settings: Vec<(String, String)>,
    /// Class names, in the order of tables and colors.
    pub(crate) classes: Vec<String>,
    /// The scores of every case.
    pub(crate) scores: Scores,
    /// The training log, where there was one.
    pub(crate) history: Option<History>,
    /// Pictures of some cases.
    pub(crate) overlays: Vec<Overlay>,
}

impl Report {
    /// Writes the report as one HTML file that needs no other; `path` never holds half of it.
    ///
    /// # Errors
    ///
    /// When a curve cannot be drawn or the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let html = self.html()?;
        let failed = || format!("{}: the report cannot be written", path.display());
        let partial = path.with_added_extension(format!("tmp-{}", std::process::id()));
        let written = fs::File::create_new(&partial)
            .and_then(|mut file| file.write_all(html.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, path));
        if written.is_err() {
            // The first error tells more than a failure to tidy up would.
            let _ = fs::remove_file(&partial);
        }
        written.with_context(failed)
    }
}
