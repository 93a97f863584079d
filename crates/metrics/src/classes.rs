//! From the label of a voxel to the place of its class in a list.

/// Where in a list of labels each label stands.
pub(crate) struct ClassIndices(Vec<Option<usize>>);

impl ClassIndices {
    /// Places of `labels`; any other label has none.
    pub(crate) fn new(labels: &[u16]) -> Self {
        let length = labels.iter().map(|&label| usize::from(label) + 1).max().unwrap_or(0);
        let mut indices = vec![None; length];
        for (class_index, &label) in labels.iter().enumerate() {
            indices[usize::from(label)] = Some(class_index);
        }
        Self(indices)
    }

    /// The place of the class that `label` stands for.
    pub(crate) fn of(&self, label: u16) -> Option<usize> {
        self.0.get(usize::from(label)).copied().flatten()
    }
}
