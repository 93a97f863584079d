//! The log of a training: JSON lines, TensorBoard scalars, and a progress bar.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use bipvl_report::{history::truncate_after, tensorboard::EventFile};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::progress;

/// Writes the events of a training.
pub(crate) struct RunLog {
    lines: File,
    scalars: EventFile,
    bar: ProgressBar,
}

impl RunLog {
    /// Opens the log of a run. Lines after `step` are dropped, because a resumed training writes them again.
    pub(crate) fn open(folder: &Path, step: usize, steps: usize) -> Result<Self> {
        let path = folder.join("log.jsonl");
        // Not a device or a pipe, which have no lines to drop.
        if path.is_file() {
            truncate_after(&path, step as u64)?;
        }
        let lines = OpenOptions::new().create(true).append(true).open(&path);
        let lines = lines.with_context(|| path.display().to_string())?;
        let bar = progress::bar("training", steps);
        bar.set_position(step as u64);
        bar.reset_eta();
        Ok(Self { lines, scalars: EventFile::create(folder)?, bar })
    }

    /// Writes an event as a line of JSON.
    pub(crate) fn line(&mut self, event: &impl Serialize) -> Result<()> {
        writeln!(self.lines, "{}", serde_json::to_string(event)?).context("log.jsonl")
    }

    /// Moves the bar by a step.
    pub(crate) fn advance(&self, loss: f32) {
        self.bar.inc(1);
        self.bar.set_message(format!("loss {loss:.3}"));
    }

    /// Shows a message in the bar.
    pub(crate) fn show(&self, message: String) {
        self.bar.set_message(message);
    }

    /// Logs beside the bar.
    pub(crate) fn beside(&self, log: impl FnOnce()) {
        self.bar.suspend(log);
    }

    /// Says that a training goes on with another number of processes.
    pub(crate) fn warn_of_ranks(&self, step: usize, before: usize, now: usize) {
        self.beside(|| {
            tracing::warn!(
                "after step {step} with {now} processes instead of {before}: a step has {now}/{before} of the samples"
            );
        });
    }

    /// Flushes the scalars.
    pub(crate) fn flush(&mut self) -> Result<()> {
        Ok(self.scalars.flush()?)
    }

    /// Flushes the files and clears the bar.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.bar.finish_and_clear();
        Ok(self.scalars.flush()?)
    }

    /// Writes a TensorBoard scalar.
    pub(crate) fn scalar(&mut self, tag: &str, step: usize, value: f64) -> Result<()> {
        Ok(self.scalars.scalar(tag, step as u64, value)?)
    }
}
