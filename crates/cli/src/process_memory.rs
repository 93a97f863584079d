//! Resident memory of this process, from `/proc`; `None` on systems without it.

use std::fs;

/// Resets the peak to the current resident memory. Where that fails, the peak stays that of the whole process.
pub(crate) fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Peak resident memory in MiB.
pub(crate) fn peak_mib() -> Option<u64> {
    status_mib("VmHWM:")
}

/// Resident pages of mapped files in MiB.
pub(crate) fn mapped_mib() -> Option<u64> {
    status_mib("RssFile:")
}

fn status_mib(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}
