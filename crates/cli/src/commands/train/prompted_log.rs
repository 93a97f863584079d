//! Writes the events of a prompted training.

use anyhow::Result;
use bipvl::prompts::event::PromptEvent;

use crate::commands::run_log::RunLog;

/// Writes one event: its line, its TensorBoard scalars, and what a person wants to see.
pub(super) fn write(log: &mut RunLog, event: &PromptEvent) -> Result<()> {
    log.line(event)?;
    match event {
        PromptEvent::Step { step, learning_rate, loss, .. } => {
            log.advance(loss.total);
            log.scalar("learning_rate", *step, *learning_rate)?;
            for (tag, value) in [
                ("loss/total", loss.total),
                ("loss/segmentation", loss.segmentation),
                ("loss/class_embedding", loss.class_embedding),
                ("loss/alignment", loss.alignment),
                ("loss/presence", loss.presence),
            ] {
                log.scalar(tag, *step, f64::from(value))?;
            }
        }
        PromptEvent::Validation { step, mean_dice, dice, false_alarms, best } => {
            let mark = if *best { ", the best so far" } else { "" };
            let alarms = 100.0 * false_alarms;
            log.beside(|| {
                tracing::info!(
                    "step {step}: mean dice {mean_dice:.4}, {alarms:.1} % of absent prompts found something{mark}"
                );
            });
            log.scalar("dice/mean", *step, *mean_dice)?;
            log.scalar("false_alarms", *step, *false_alarms)?;
            for (concept, dice) in dice {
                log.scalar(&format!("dice/{concept}"), *step, *dice)?;
            }
        }
        PromptEvent::Checkpoint { .. } => log.flush()?,
        PromptEvent::RanksChanged { step, before, now } => log.warn_of_ranks(*step, *before, *now),
        PromptEvent::Stopped { step, steps, reason } => {
            if *reason == "time" {
                log.beside(|| {
                    tracing::warn!("time is up at step {step} of {steps}; continue with --resume");
                });
            }
        }
    }
    Ok(())
}
