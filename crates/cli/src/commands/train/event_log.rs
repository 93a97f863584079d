//! Writes the events of a training with fixed classes.

use anyhow::Result;
use bipvl::train::event::TrainEvent;

use crate::commands::run_log::RunLog;

/// Writes one event: its line, its TensorBoard scalars, and what a person wants to see.
pub(super) fn write(log: &mut RunLog, event: &TrainEvent) -> Result<()> {
    if let TrainEvent::ValidationProgress { case, cases, patch, patches, .. } = event {
        let case = case + 1;
        log.show(format!("validating case {case} of {cases}: {patch} of {patches} patches"));
        return Ok(());
    }
    log.line(event)?;
    match event {
        TrainEvent::Step { step, loss, learning_rate, .. } => {
            log.advance(loss.total);
            log.scalar("learning_rate", *step, *learning_rate)?;
            log.scalar("loss/total", *step, f64::from(loss.total))?;
            log.scalar("loss/segmentation", *step, f64::from(loss.segmentation))?;
            log.scalar("loss/class_embedding", *step, f64::from(loss.class_embedding))?;
            log.scalar("loss/alignment", *step, f64::from(loss.alignment))?;
        }
        TrainEvent::Validation { step, mean_dice, dice, best } => {
            let mark = if *best { ", the best so far" } else { "" };
            log.beside(|| tracing::info!("step {step}: mean dice {mean_dice:.4}{mark}"));
            log.scalar("dice/mean", *step, *mean_dice)?;
            for (class, dice) in dice {
                log.scalar(&format!("dice/{class}"), *step, *dice)?;
            }
        }
        TrainEvent::Checkpoint { .. } => log.flush()?,
        TrainEvent::RanksChanged { step, before, now } => log.warn_of_ranks(*step, *before, *now),
        TrainEvent::EarlyStopping { step, max_steps, validations: count } => log.beside(|| {
            tracing::info!(
                "early stopping at step {step} of {max_steps}: no improvement in {count} validations"
            );
        }),
        TrainEvent::TimeBudgetExhausted { step, max_steps } => log.beside(|| {
            tracing::warn!("time is up at step {step} of {max_steps}; continue with --resume");
        }),
        // The command reports an interruption; other events have only their line.
        _ => {}
    }
    Ok(())
}
