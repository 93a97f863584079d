//! The log of a training: JSON lines, TensorBoard scalars, and a progress bar.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use bipvl::train::event::TrainEvent;
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

    /// Writes one event.
    pub(crate) fn write(&mut self, event: &TrainEvent) -> Result<()> {
        if let TrainEvent::ValidationProgress { case, cases, patch, patches, .. } = event {
            let case = case + 1;
            self.bar.set_message(format!("validating case {case} of {cases}: {patch} of {patches} patches"));
            return Ok(());
        }
        self.line(event)?;
        match event {
            TrainEvent::Step { step, loss, learning_rate, .. } => {
                self.advance(loss.total);
                self.scalar("learning_rate", *step, *learning_rate)?;
                self.scalar("loss/total", *step, f64::from(loss.total))?;
                self.scalar("loss/segmentation", *step, f64::from(loss.segmentation))?;
                self.scalar("loss/class_embedding", *step, f64::from(loss.class_embedding))?;
                self.scalar("loss/alignment", *step, f64::from(loss.alignment))?;
            }
            TrainEvent::Validation { step, mean_dice, dice, best } => {
                let mark = if *best { ", the best so far" } else { "" };
                self.bar.suspend(|| tracing::info!("step {step}: mean dice {mean_dice:.4}{mark}"));
                self.scalar("dice/mean", *step, *mean_dice)?;
                for (class, dice) in dice {
                    self.scalar(&format!("dice/{class}"), *step, *dice)?;
                }
            }
            TrainEvent::Checkpoint { .. } => self.scalars.flush()?,
            TrainEvent::EarlyStopping { step, max_steps, validations: count } => self.bar.suspend(|| {
                tracing::info!(
                    "early stopping at step {step} of {max_steps}: no improvement in {count} validations"
                );
            }),
            TrainEvent::TimeBudgetExhausted { step, max_steps } => self.bar.suspend(|| {
                tracing::warn!("time is up at step {step} of {max_steps}; continue with --resume");
            }),
            // The command reports an interruption; other events have only their line.
            _ => {}
        }
        Ok(())
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

    /// Logs a message beside the bar.
    pub(crate) fn info(&self, message: &str) {
        self.bar.suspend(|| tracing::info!("{message}"));
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
