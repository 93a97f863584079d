//! Writes the events of a training: one JSON line each, TensorBoard scalars, a progress bar.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use bipvl::train::event::TrainEvent;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::{progress, tensorboard::EventFile};

/// Where the events of a training go.
pub(crate) struct RunLog {
    lines: File,
    scalars: EventFile,
    bar: ProgressBar,
}

impl RunLog {
    /// Begins or continues the log of a run; lines after `step`, which a resumed training writes again, are
    /// dropped.
    pub(crate) fn open(folder: &Path, step: usize, steps: usize) -> Result<Self> {
        let path = folder.join("log.jsonl");
        if path.exists() {
            keep_until(&path, step).with_context(|| path.display().to_string())?;
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
        writeln!(self.lines, "{}", serde_json::to_string(event)?).context("log.jsonl")?;
        match event {
            TrainEvent::Step { step, loss, learning_rate, .. } => {
                self.bar.inc(1);
                self.bar.set_message(format!("loss {:.3}", loss.total));
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
            TrainEvent::EarlyStopping { step, max_steps, validations } => self.bar.suspend(|| {
                tracing::info!(
                    "stopped early at step {step} of {max_steps}: {validations} validations found nothing better"
                );
            }),
            TrainEvent::TimeBudgetExhausted { step, max_steps } => self.bar.suspend(|| {
                tracing::warn!("the time is used up at step {step} of {max_steps}; --resume goes on from here");
            }),
        }
        Ok(())
    }

    /// Completes the files and takes the bar away.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.bar.finish_and_clear();
        self.scalars.flush()
    }

    fn scalar(&mut self, tag: &str, step: usize, value: f64) -> Result<()> {
        self.scalars.scalar(tag, step as u64, value)
    }
}

/// Rewrites a log without the lines of later steps and without a line that was cut off.
fn keep_until(path: &Path, step: usize) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let is_kept = |line: &&str| {
        let event: Option<Value> = serde_json::from_str(line).ok();
        event.and_then(|event| event["step"].as_u64()).is_some_and(|at| at <= step as u64)
    };
    let kept: Vec<&str> = text.lines().filter(is_kept).collect();
    let text = kept.join("\n") + if kept.is_empty() { "" } else { "\n" };
    Ok(bipvl_io::atomic_write(path, text.as_bytes())?)
}
