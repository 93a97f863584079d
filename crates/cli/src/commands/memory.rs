//! `--memory-budget`: what was chosen to fit into it, and what was needed in the end.

use std::{fmt::Display, path::Path};

use anyhow::{Result, bail};
use bipvl::{
    config::Config,
    device::DeviceKind,
    nn::interop::PretrainedWeights,
    run::{GB, within_budget},
    text::Descriptions,
    train::{activation_checkpointing::ActivationCheckpointing, budget::Reduction, memory::MemoryPlan},
};

use super::train::workers;
use crate::process_memory::{mapped_mib, peak_mib};

const FLAG: &str = "--memory-budget";
const MIB_PER_GB: f64 = GB / (1024.0 * 1024.0);

/// Whether the budget is one, and of memory that is known.
pub(super) fn check(budget_gb: Option<f64>, device: DeviceKind) -> Result<()> {
    let Some(gb) = budget_gb else { return Ok(()) };
    if !(gb.is_finite() && gb > 0.0) {
        bail!("{FLAG}: expected more than 0, found {gb}");
    }
    if device != DeviceKind::Cpu {
        bail!("{FLAG}: expected --device cpu, the only one whose need is known, found {device}");
    }
    Ok(())
}

/// The configuration that fits into the budget; says what was chosen and why.
pub(super) fn fit(
    budget_gb: Option<f64>,
    config: Config,
    descriptions: &Descriptions,
    of_cases: &[Descriptions],
    imported: &[PretrainedWeights],
) -> Result<Config> {
    let Some(gb) = budget_gb else { return Ok(config) };
    let budget = (gb, workers(), Path::new(FLAG));
    let (config, choice) = within_budget(config, descriptions, of_cases, imported, budget)?;
    tracing::info!("{FLAG} {gb}: {}", in_words(&choice));
    Ok(config)
}

/// What was changed, from what to what, and what both need.
fn in_words(choice: &Reduction) -> String {
    let Reduction { before, after, peaks } = choice;
    let [peak_before, peak_after] = peaks.map(|peak| format!("{:.2} GB", peak / GB));
    if before == after {
        return format!("the configuration stays as it is, its estimated peak is {peak_after}");
    }
    let change = |name: &str, one: &dyn Display, other: &dyn Display| {
        let (one, other) = (one.to_string(), other.to_string());
        (one != other).then(|| format!("{name} {one} → {other}"))
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
    format!("{}; the estimated peak falls from {peak_before} to {peak_after}", changes.join(", "))
}

/// Says how much memory the training of this process needed, where the system tells.
pub(super) fn tell_peak(budget_gb: Option<f64>) {
    let (Some(gb), Some(peak)) = (budget_gb, peak_mib()) else { return };
    // The system takes the pages of files back when it needs them.
    let mapped = mapped_mib().unwrap_or(0).min(peak);
    let [own, mapped] = [peak - mapped, mapped].map(|mib| mib as f64 / MIB_PER_GB);
    let needed = format!("{own:.3} GB of memory were needed at most, beside {mapped:.3} GB of mapped files");
    if own <= gb {
        tracing::info!("{FLAG} {gb}: {needed}");
    } else {
        tracing::warn!("{FLAG} {gb}: {needed}; validations of whole cases need more than updates here");
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
    fn what_changed_is_said_and_nothing_else() {
        let say = |after| in_words(&Reduction { before: BEFORE, after, peaks: [8e9, 3.456e9] });
        assert_eq!(
            say(MemoryPlan { batch_size: 1, gradient_accumulation_steps: 2, ..BEFORE }),
            "batch_size 2 → 1, gradient_accumulation_steps 1 → 2; the estimated peak falls from 8.00 GB to 3.46 GB"
        );
        assert_eq!(
            say(MemoryPlan {
                patch_size: [64, 64, 32],
                activation_checkpointing: ActivationCheckpointing::Blocks,
                ..BEFORE
            }),
            "activation_checkpointing off → blocks, patch_size 96 × 96 × 96 → 64 × 64 × 32; \
             the estimated peak falls from 8.00 GB to 3.46 GB"
        );
        assert_eq!(say(BEFORE), "the configuration stays as it is, its estimated peak is 3.46 GB");
    }

    #[test]
    fn a_budget_is_a_number_above_zero_of_the_processor_s_memory() {
        assert!(check(Some(0.5), DeviceKind::Cpu).is_ok() && check(None, DeviceKind::Cuda).is_ok());
        for (budget, device, part) in [
            (0.0, DeviceKind::Cpu, "more than 0, found 0"),
            (f64::NAN, DeviceKind::Cpu, "more than 0, found NaN"),
            (8.0, DeviceKind::Vulkan, "found vulkan"),
        ] {
            let message = check(Some(budget), device).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
