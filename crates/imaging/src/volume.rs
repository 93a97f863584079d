//! A 3-D array and its grid.

use ndarray::Array3;

use crate::Grid;

/// Labels of a case: 0 is background.
pub type LabelMap = Volume<u16>;

/// A 3-D array of voxels with its grid; voxels are indexed `[x, y, z]`, z fastest in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    voxels: Array3<T>,
    grid: Grid,
}

impl<T> Volume<T> {
    /// Places `voxels` on `grid`.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    pub fn new(voxels: Array3<T>, grid: Grid) -> Self {
        assert_eq!(voxels.shape(), grid.shape(), "voxels must fill their grid");
        Self { voxels, grid }
    }

    /// The voxels, `[x, y, z]`.
    pub fn voxels(&self) -> &Array3<T> {
        &self.voxels
    }

    /// The voxels, to change.
    pub fn voxels_mut(&mut self) -> &mut Array3<T> {
        &mut self.voxels
    }

    /// The voxels without their grid.
    pub fn into_voxels(self) -> Array3<T> {
        self.voxels
    }

    /// Where the voxels are.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// A volume on the same grid, voxel by voxel.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Volume<U> {
        Volume::new(self.voxels.map(f), self.grid.clone())
    }
}
