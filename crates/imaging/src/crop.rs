//! Crops and pads, remembering the bounds so that it can be undone.

use std::collections::BTreeMap;

use ndarray::{Array3, Slice};

use crate::{Grid, LabelMap, Volume};

/// A box of voxels of a grid. It may reach beyond the grid: what lies outside is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// The voxel index of the first voxel, per axis; negative before the grid's first voxel.
    pub start: [isize; 3],
    /// Voxels per axis.
    pub shape: [usize; 3],
}

impl BoundingBox {
    /// The box of a whole grid of `shape`.
    pub fn whole(shape: [usize; 3]) -> Self {
        Self { start: [0; 3], shape }
    }

    /// The smallest box around every `true` voxel; `None` when there is none.
    pub fn of_mask(mask: &Volume<bool>) -> Option<Self> {
        let mut low = [usize::MAX; 3];
        let mut high = [0; 3];
        for ((x, y, z), _) in mask.voxels().indexed_iter().filter(|(_, is_inside)| **is_inside) {
            for (axis, index) in [x, y, z].into_iter().enumerate() {
                low[axis] = low[axis].min(index);
                high[axis] = high[axis].max(index + 1);
            }
        }
        (high != [0; 3]).then(|| Self {
            start: low.map(|index| index as isize),
            shape: std::array::from_fn(|axis| high[axis] - low[axis]),
        })
    }

    /// The smallest box around the voxels of each label; the background has none.
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

    /// The box with the voxels that touch it, as far as a grid of `shape` reaches.
    #[must_use]
    pub fn with_border(self, shape: [usize; 3]) -> Self {
        let start = self.start.map(|start| (start - 1).max(0));
        let end = |axis: usize| (self.start[axis] + self.shape[axis] as isize + 1).min(shape[axis] as isize);
        Self { start, shape: std::array::from_fn(|axis| (end(axis) - start[axis]) as usize) }
    }

    /// The box grown to at least `shape`, on both sides of each axis; half of what is missing, rounded
    /// down, comes before it, as in MONAI.
    #[must_use]
    pub fn at_least(self, shape: [usize; 3]) -> Self {
        let before = |axis: usize| (shape[axis].saturating_sub(self.shape[axis]) / 2) as isize;
        Self {
            start: std::array::from_fn(|axis| self.start[axis] - before(axis)),
            shape: std::array::from_fn(|axis| self.shape[axis].max(shape[axis])),
        }
    }

    /// The box that leads from the cropped grid back to the grid of `original_shape` it was cut from.
    #[must_use]
    pub fn inverse(self, original_shape: [usize; 3]) -> Self {
        Self { start: self.start.map(|start| -start), shape: original_shape }
    }
}

impl Grid {
    /// The grid of the voxels inside `bounds`: the same voxels in the same places.
    #[must_use]
    pub fn cropped(&self, bounds: &BoundingBox) -> Self {
        let mut affine = *self.affine();
        let origin = self.voxel_to_world(bounds.start.map(|start| start as f64));
        affine.fixed_view_mut::<3, 1>(0, 3).copy_from_slice(&origin);
        Self::new(bounds.shape, affine)
    }
}

/// Cuts `bounds` out of `volume`; voxels outside the volume are `fill`.
///
/// `crop_or_pad(&cropped, &bounds.inverse(shape), fill)` puts the voxels back.
pub fn crop_or_pad<T: Clone>(volume: &Volume<T>, bounds: &BoundingBox, fill: T) -> Volume<T> {
    let mut voxels = Array3::from_elem(bounds.shape, fill);
    let shape = volume.grid().shape();
    // Per axis the shared voxels, once counted in the volume and once in the box.
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

/// [`crop_or_pad`] of a volume that is needed no more: bounds of the whole give it back as it is.
pub fn into_cropped<T: Clone>(volume: Volume<T>, bounds: &BoundingBox, fill: T) -> Volume<T> {
    if *bounds == BoundingBox::whole(volume.grid().shape()) {
        volume
    } else {
        crop_or_pad(&volume, bounds, fill)
    }
}
