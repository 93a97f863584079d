//! A 3-D array and its grid.

use std::borrow::Cow;

use ndarray::Array3;

use crate::Grid;

/// A volume of integer labels; 0 is background.
pub type LabelMap = Volume<u16>;

/// A 3-D array of voxels, indexed `[x, y, z]` with z fastest in memory, and its grid.
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

    /// The voxels, mutable.
    pub fn voxels_mut(&mut self) -> &mut Array3<T> {
        &mut self.voxels
    }

    /// Drops the grid.
    pub fn into_voxels(self) -> Array3<T> {
        self.voxels
    }

    /// Shape and affine.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Applies `f` to every voxel; the grid stays.
    pub fn map<U>(&self, f: impl FnMut(&T) -> U) -> Volume<U> {
        Volume::new(self.voxels.map(f), self.grid.clone())
    }
}

impl<T: Clone> From<Volume<T>> for Cow<'_, Volume<T>> {
    fn from(volume: Volume<T>) -> Self {
        Cow::Owned(volume)
    }
}

impl<'a, T: Clone> From<&'a Volume<T>> for Cow<'a, Volume<T>> {
    fn from(volume: &'a Volume<T>) -> Self {
        Cow::Borrowed(volume)
    }
}
