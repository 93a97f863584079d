//! The rows of a label map along z, with background beyond the grid.

use std::borrow::Cow;

use bipvl_imaging::LabelMap;

/// The rows of a label map along z, where voxels are neighbors in memory.
pub(crate) struct Rows<'a> {
    labels: Cow<'a, [u16]>,
    shape: [usize; 3],
    background: Vec<u16>,
}

impl<'a> Rows<'a> {
    /// The rows of `label_map`, copied only where it is not stored row by row.
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

    /// The row at `x`, `y`; background beyond the grid, which `None` is too.
    pub(crate) fn at(&self, x: Option<usize>, y: Option<usize>) -> &[u16] {
        let [nx, ny, nz] = self.shape;
        match (x, y) {
            (Some(x), Some(y)) if x < nx && y < ny => &self.labels[(x * ny + y) * nz..][..nz],
            _ => &self.background,
        }
    }
}
