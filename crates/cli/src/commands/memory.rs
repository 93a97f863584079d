//! `--memory-budget`: the chosen reduction, and the actual peak.

use std::fmt::Display;

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    device::DeviceKind,
    run::{GB, MemoryBudget, RunSpec},
    train::{activation_checkpointing::ActivationCheckpointing, budget::Reduction, memory::MemoryPlan},
};

use super::train::workers;
use crate::process_memory::{mapped_mib, peak_mib};

const FLAG: &str = "--memory-budget";
const MIB_PER_GB: f64 = GB / (1024.0 * 1024.0);

/// Checks that the budget is positive, and that the memory of the device can be estimated.
pub(super) fn check(budget_gb: Option<f64>, device: DeviceKind) -> Result<()> {
    let Some(gb) = budget_gb else { return Ok(()) };
    if !(gb.is_finite() && gb > 0.0) {
        bail!("{FLAG}: must be above 0, not {gb}");
    }
    if device != DeviceKind::Cpu {
        bail!("{FLAG}: only the memory of --device cpu can be estimated, not that of {device}");
    }
    Ok(())
}

/// The configuration of the run, reduced to the budget; logs the reduction.
pub(super) fn fit(budget_gb: Option<f64>, spec: &RunSpec) -> Result<Config> {
    let Some(gb) = budget_gb else { return Ok(spec.config.clone()) };
    let (config, reduction) = MemoryBudget { gb, workers: workers() }.fit(spec).context(FLAG)?;
    tracing::info!("{FLAG} {gb}: {}", describe(&reduction));
    Ok(config)
}

/// The changed keys with their values, and both peaks.
fn describe(reduction: &Reduction) -> String {
    let Reduction { before, after, peaks } = reduction;
    let [peak_before, peak_after] = peaks.map(|peak| format!("{:.2} GB", peak / GB));
    if before == after {
        return format!("the configuration is unchanged, with an estimated peak of {peak_after}");
    }
    let change = |key: &str, before: &dyn Display, after: &dyn Display| {
        let (before, after) = (before.to_string(), after.to_string());
        (before != after).then(|| format!("{key} {before} → {after}"))
    };
    let patch = |plan: &MemoryPlan| plan.patch_size.map(|side| side.to_string()).join(" × ");
    let checkpointing = |plan: &MemoryPlan| match plan.activation_checkpointing {
        ActivationCheckpointing::Off => "off",
        ActivationCheckpointing::Blocks => "blocks",
    };
    let changes = [
        change("batch_size", &before.batch_size, &after.batch_size),
        change(
            "gradient_accumulation_steps",
            &before.gradient_accumulation_steps,
            &after.gradient_accumulation_steps,
        ),
        change("activation_checkpointing", &checkpointing(before), &checkpointing(after)),
        change("patch_size", &patch(before), &patch(after)),
    ];
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    format!("{}; the estimated peak decreases from {peak_before} to {peak_after}", changes.join(", "))
}

/// Logs the actual peak of this process, if the system reports it.
pub(super) fn log_peak(budget_gb: Option<f64>) {
    let (Some(gb), Some(peak)) = (budget_gb, peak_mib()) else { return };
    // The system reclaims pages of mapped files when memory is short.
    let mapped = mapped_mib().unwrap_or(0).min(peak);
    let [own, mapped] = [peak - mapped, mapped].map(|mib| mib as f64 / MIB_PER_GB);
    let peak = format!("the peak was {own:.3} GB, plus {mapped:.3} GB of mapped files");
    if own <= gb {
        tracing::info!("{FLAG} {gb}: {peak}");
    } else {
        tracing::warn!("{FLAG} {gb}: {peak}; the validation of whole cases needs more than training steps");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: MemoryPlan = MemoryPlan {
        patch_size: [96; 3],
        batch_size: 2,
        gradient_accumulation_steps: 1,
        activation_checkpointing: ActivationCheckpointing::Off,
    };

    #[test]
    fn only_changed_keys_are_listed() {
        let text = |after| describe(&Reduction { before: BEFORE, after, peaks: [8e9, 3.456e9] });
        assert_eq!(
            text(MemoryPlan { batch_size: 1, gradient_accumulation_steps: 2, ..BEFORE }),
            "batch_size 2 → 1, gradient_accumulation_steps 1 → 2; the estimated peak decreases from 8.00 GB to 3.46 GB"
        );
        assert_eq!(
            text(MemoryPlan {
                patch_size: [64, 64, 32],
                activation_checkpointing: ActivationCheckpointing::Blocks,
                ..BEFORE
            }),
            "activation_checkpointing off → blocks, patch_size 96 × 96 × 96 → 64 × 64 × 32; \
             the estimated peak decreases from 8.00 GB to 3.46 GB"
        );
        assert_eq!(text(BEFORE), "the configuration is unchanged, with an estimated peak of 3.46 GB");
    }

    #[test]
    fn a_budget_is_positive_and_for_the_cpu() {
        assert!(check(Some(0.5), DeviceKind::Cpu).is_ok() && check(None, DeviceKind::Cuda).is_ok());
        for (budget, device, part) in [
            (0.0, DeviceKind::Cpu, "above 0, not 0"),
            (f64::NAN, DeviceKind::Cpu, "above 0, not NaN"),
            (8.0, DeviceKind::Vulkan, "not that of vulkan"),
        ] {
            let message = check(Some(budget), device).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
