//! Rows of a label map along z, padded with background.

use std::borrow::Cow;

use bipvl_imaging::LabelMap;

/// Rows of a label map along z, the axis that is contiguous in memory.
pub(crate) struct LabelRows<'a> {
    labels: Cow<'a, [u16]>,
    shape: [usize; 3],
    background: Vec<u16>,
}

impl<'a> LabelRows<'a> {
    /// Copies `label_map` only if it is not in standard (row-major) layout.
    pub(crate) fn new(label_map: &'a LabelMap) -> Self {
        let voxels = label_map.voxels();
        let labels = match voxels.as_slice() {
            Some(labels) => Cow::Borrowed(labels),
            None => Cow::Owned(voxels.iter().copied().collect()),
        };
        let shape = label_map.grid().shape();
        Self { labels, shape, background: vec![0; shape[2]] }
    }

    /// Voxels per axis.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The row at `x`, `y`; background outside the grid. `None` is index −1.
    pub(crate) fn row(&self, x: Option<usize>, y: Option<usize>) -> &[u16] {
        let [nx, ny, nz] = self.shape;
        match (x, y) {
            (Some(x), Some(y)) if x < nx && y < ny => &self.labels[(x * ny + y) * nz..][..nz],
            _ => &self.background,
        }
    }
}
