//! `--memory-budget`: the chosen reduction, and the actual peak.

use anyhow::{Context, Result, bail};
use bipvl::{
    config::Config,
    device::DeviceKind,
    run::{GB, MemoryBudget, RunSpec},
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
    tracing::info!("{FLAG} {gb}: {reduction}");
    Ok(config)
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
