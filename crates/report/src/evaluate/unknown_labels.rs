//! Labels that belong to no class.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// A label of a file that belongs to no class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLabel {
    /// The label map.
    pub path: PathBuf,
    /// The label.
    pub label: u16,
    /// Number of its voxels.
    pub voxels: usize,
}

/// A label that belongs to no class, with all files that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLabelSummary<'a> {
    /// The label.
    pub label: u16,
    /// The first file.
    pub path: &'a PathBuf,
    /// Number of files.
    pub files: usize,
    /// Number of voxels in all files.
    pub voxels: usize,
}

/// One summary per label, by label.
pub(super) fn summarize(unknown_labels: &[UnknownLabel]) -> Vec<UnknownLabelSummary<'_>> {
    let mut by_label: BTreeMap<u16, UnknownLabelSummary> = BTreeMap::new();
    for UnknownLabel { path, label, voxels } in unknown_labels {
        let empty = UnknownLabelSummary { label: *label, path, files: 0, voxels: 0 };
        let summary = by_label.entry(*label).or_insert(empty);
        summary.files += 1;
        summary.voxels += voxels;
    }
    by_label.into_values().collect()
}

impl fmt::Display for UnknownLabelSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, path, files, voxels } = self;
        let more = if *files > 1 { format!(" and {} more files", files - 1) } else { String::new() };
        let path = path.display();
        write!(f, "{path}{more}: label {label} ({voxels} voxels) belongs to no class, scored as background")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_summarized_over_files() {
        let unknown = |path: &str, label, voxels| UnknownLabel { path: PathBuf::from(path), label, voxels };
        let labels = [unknown("a.nii", 9, 1), unknown("b.nii", 7, 2), unknown("b.nii", 9, 3)];
        let messages: Vec<String> = summarize(&labels).iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "b.nii: label 7 (2 voxels) belongs to no class, scored as background",
                "a.nii and 1 more files: label 9 (4 voxels) belongs to no class, scored as background",
            ]
        );
    }
}
