//! Bounding boxes; cropping and padding, and their inverse.

use std::{borrow::Cow, collections::BTreeMap};

use ndarray::{Array3, Slice};
use rayon::prelude::*;

use crate::{Grid, LabelMap, Volume};

/// A box of voxels of a grid. The part that reaches beyond the grid is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// Index of the first voxel per axis; negative before the first voxel of the grid.
    pub start: [isize; 3],
    /// Voxels per axis.
    pub shape: [usize; 3],
}

impl BoundingBox {
    /// The box around all voxels of a grid of `shape`.
    pub fn whole(shape: [usize; 3]) -> Self {
        Self { start: [0; 3], shape }
    }

    /// The smallest box around the `true` voxels; `None` for an empty mask.
    pub fn of_mask(mask: &Volume<bool>) -> Option<Self> {
        let of_plane = |(x, plane): (usize, ndarray::ArrayView2<bool>)| {
            let of_line = |(y, line): (usize, ndarray::ArrayView1<bool>)| {
                let first = line.iter().position(|is_inside| *is_inside)?;
                let last = line.iter().rposition(|is_inside| *is_inside)?;
                Some(Self {
                    start: [x, y, first].map(|index| index as isize),
                    shape: [1, 1, last + 1 - first],
                })
            };
            plane.outer_iter().enumerate().filter_map(of_line).reduce(Self::union)
        };
        let planes = mask.voxels().outer_iter().into_par_iter().enumerate();
        planes.filter_map(of_plane).reduce_with(Self::union)
    }

    /// The smallest box around each label but the background.
    pub fn of_labels(labels: &LabelMap) -> BTreeMap<u16, Self> {
        let mut boxes: BTreeMap<u16, Self> = BTreeMap::new();
        for (voxel, label) in labels.voxels().indexed_iter().filter(|(_, label)| **label != 0) {
            let voxel = Self::of_voxel(voxel);
            boxes.entry(*label).and_modify(|around| *around = around.union(voxel)).or_insert(voxel);
        }
        boxes
    }

    fn of_voxel((x, y, z): (usize, usize, usize)) -> Self {
        Self { start: [x, y, z].map(|index| index as isize), shape: [1; 3] }
    }

    /// The smallest box around both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let end = |bounds: &Self, axis: usize| bounds.start[axis] + bounds.shape[axis] as isize;
        let start = std::array::from_fn(|axis| self.start[axis].min(other.start[axis]));
        let shape = |axis: usize| (end(&self, axis).max(end(&other, axis)) - start[axis]) as usize;
        Self { start, shape: std::array::from_fn(shape) }
    }

    /// The box grown by `voxels` on every side, clipped to a grid of `shape`.
    #[must_use]
    pub fn dilated(self, voxels: usize, shape: [usize; 3]) -> Self {
        let voxels = voxels as isize;
        let start = self.start.map(|start| (start - voxels).max(0));
        let end =
            |axis: usize| (self.start[axis] + self.shape[axis] as isize + voxels).min(shape[axis] as isize);
        Self { start, shape: std::array::from_fn(|axis| (end(axis) - start[axis]) as usize) }
    }

    /// The box grown symmetrically to at least `shape`; an odd voxel is added behind it, as in MONAI's
    /// `SpatialPad`.
    #[must_use]
    pub fn padded_to(self, shape: [usize; 3]) -> Self {
        let before = |axis: usize| (shape[axis].saturating_sub(self.shape[axis]) / 2) as isize;
        Self {
            start: std::array::from_fn(|axis| self.start[axis] - before(axis)),
            shape: std::array::from_fn(|axis| self.shape[axis].max(shape[axis])),
        }
    }

    /// The box that, applied to the cropped grid, restores the grid of `original_shape`.
    #[must_use]
    pub fn inverse_crop(self, original_shape: [usize; 3]) -> Self {
        Self { start: self.start.map(|start| -start), shape: original_shape }
    }
}

impl Grid {
    /// The grid of the voxels in `bounds`; their world positions stay.
    #[must_use]
    pub fn cropped(&self, bounds: &BoundingBox) -> Self {
        let mut affine = *self.affine();
        let origin = self.voxel_to_world(bounds.start.map(|start| start as f64));
        affine.fixed_view_mut::<3, 1>(0, 3).copy_from_slice(&origin);
        Self::new(bounds.shape, affine)
    }
}

/// Crops `volume` to `bounds`; voxels outside the volume become `fill`.
///
/// A volume passed by value is returned without a copy when `bounds` is all of it.
/// `crop_or_pad(&cropped, &bounds.inverse_crop(shape), fill)` is the inverse.
pub fn crop_or_pad<'a, T: Clone + 'a>(
    volume: impl Into<Cow<'a, Volume<T>>>,
    bounds: &BoundingBox,
    fill: T,
) -> Volume<T> {
    let volume = volume.into();
    if *bounds == BoundingBox::whole(volume.grid().shape()) {
        return volume.into_owned();
    }
    let mut voxels = Array3::from_elem(bounds.shape, fill);
    let shape = volume.grid().shape();
    // Per axis the overlap as start and end in the volume, and its offset in the box.
    let shared = |axis: usize| {
        let start = bounds.start[axis];
        let low = start.max(0);
        let high = (start + bounds.shape[axis] as isize).min(shape[axis] as isize).max(low);
        (low, high, low - start)
    };
    if (0..3).all(|axis| shared(axis).0 < shared(axis).1) {
        let source = volume.voxels().slice_each_axis(|axis| {
            let (low, high, _) = shared(axis.axis.index());
            Slice::from(low..high)
        });
        let mut target = voxels.slice_each_axis_mut(|axis| {
            let (low, high, offset) = shared(axis.axis.index());
            Slice::from(offset..offset + high - low)
        });
        target.assign(&source);
    }
    Volume::new(voxels, volume.grid().cropped(bounds))
}
