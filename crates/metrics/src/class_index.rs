//! Lookup from the label of a voxel to the index of its class.

/// Index of the class of each label.
pub(crate) struct ClassIndex(Vec<Option<usize>>);

impl ClassIndex {
    /// Class `i` has the label `labels[i]`; all other labels have no class.
    pub(crate) fn new(labels: &[u16]) -> Self {
        let length = labels.iter().map(|&label| usize::from(label) + 1).max().unwrap_or(0);
        let mut indices = vec![None; length];
        for (class_index, &label) in labels.iter().enumerate() {
            indices[usize::from(label)] = Some(class_index);
        }
        Self(indices)
    }

    /// The index of the class of `label`.
    pub(crate) fn get(&self, label: u16) -> Option<usize> {
        self.0.get(usize::from(label)).copied().flatten()
    }
}
