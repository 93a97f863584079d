//! Sliding-window inference: patch positions, and blending of overlapping logits.

use std::ops::{ControlFlow, Range};

use ndarray::{Array3, ArrayView4, Slice};
use serde::{Deserialize, Serialize};

use super::{
    constant_patch_cache::Logits,
    rolling_buffer::{LogitSlab, RollingBuffer},
    tiling::{AxisTiling, TileColumn, columns},
};

/// Bytes of the logit buffer; larger volumes are partitioned into columns.
const DEFAULT_MEMORY: usize = 512 << 20;
/// Standard deviation of the Gaussian importance map relative to the patch, as in MONAI and nnU-Net.
const SIGMA_SCALE: f64 = 0.125;
/// Smallest importance, so that no sum of weights is 0; as in MONAI.
const MIN_IMPORTANCE: f32 = 1e-3;

/// Weighting of overlapping patches, as in MONAI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlendMode {
    /// A Gaussian around the center of the patch.
    Gaussian,
    /// Equal weights.
    Constant,
}

/// Patches of one size, with overlap and weighting.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    patch_size: [usize; 3],
    overlap: f64,
    importance: Array3<f32>,
    memory: usize,
}

impl SlidingWindow {
    /// Patches of `patch_size` voxels with `0 ≤ overlap < 1`.
    pub fn new(patch_size: [usize; 3], overlap: f64, blend_mode: BlendMode) -> Self {
        assert!((0.0..1.0).contains(&overlap), "the overlap is at least 0 and below 1");
        Self {
            patch_size,
            overlap,
            importance: importance_map(patch_size, blend_mode),
            memory: DEFAULT_MEMORY,
        }
    }

    /// Limits the logit buffer. Less memory costs time; the result is bit-identical.
    #[must_use]
    pub fn with_memory_limit(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Plans the patches of a volume of `shape`, at least as large as a patch, with `num_logits` per voxel.
    pub fn plan(&self, shape: [usize; 3], num_logits: usize) -> TilingPlan<'_> {
        let axes = std::array::from_fn(|axis| AxisTiling {
            length: shape[axis],
            patch: self.patch_size[axis],
            starts: starts(shape[axis], self.patch_size[axis], self.overlap),
        });
        let area = self.memory / RollingBuffer::bytes_per_voxel(num_logits, self.patch_size[0]);
        let columns = columns(&axes[1], &axes[2], area);
        TilingPlan { window: self, axes, num_logits, columns }
    }
}

/// The patches of one volume.
#[derive(Debug)]
pub struct TilingPlan<'a> {
    window: &'a SlidingWindow,
    axes: [AxisTiling; 3],
    num_logits: usize,
    columns: Vec<TileColumn>,
}

impl TilingPlan<'_> {
    /// Number of patches; one that intersects several columns counts once per column.
    pub fn patches(&self) -> usize {
        self.columns.iter().map(|column| self.starts(column).len()).sum()
    }

    /// Calls `predict` for every patch of `volume` `[channels, x, y, z]` with its first voxel, blends the logits, and passes them to
    /// `on_slab` row by row along x, column by column. A break of `predict` ends it.
    ///
    /// Patches are in the order of x, y, z of their first voxels, so that the sum of every voxel has the same order
    /// of terms however the volume is partitioned.
    pub fn run(
        &self,
        volume: ArrayView4<f32>,
        mut predict: impl FnMut([usize; 3], ArrayView4<f32>) -> ControlFlow<(), Logits>,
        mut on_slab: impl FnMut(&LogitSlab),
    ) -> ControlFlow<()> {
        let [x, y, z] = &self.axes;
        for column in &self.columns {
            let extent = [y.with_neighbor(&column.y), z.with_neighbor(&column.z)];
            let mut buffer = RollingBuffer::new(column, extent, self.num_logits, x.patch);
            for start in self.starts(column) {
                buffer.finish_before(start[0], &mut on_slab);
                let patch = volume.slice_each_axis(|axis| match axis.axis.index() {
                    0 => Slice::from(..),
                    axis => Slice::from(self.range(start, axis - 1)),
                });
                let logits = predict(start, patch)?;
                buffer.add(start, logits.view(), self.window.importance.view());
            }
            buffer.finish_before(x.length, &mut on_slab);
        }
        ControlFlow::Continue(())
    }

    fn range(&self, start: [usize; 3], axis: usize) -> Range<usize> {
        start[axis]..start[axis] + self.axes[axis].patch
    }

    /// First voxels of the patches that intersect a column, x slowest.
    fn starts(&self, column: &TileColumn) -> Vec<[usize; 3]> {
        let [x, y, z] = &self.axes;
        let (ys, zs): (Vec<_>, Vec<_>) =
            (y.intersecting(&column.y).collect(), z.intersecting(&column.z).collect());
        let section = || ys.iter().flat_map(|&y| zs.iter().map(move |&z| (y, z)));
        x.starts.iter().flat_map(|&x| section().map(move |(y, z)| [x, y, z])).collect()
    }
}

/// Multiples of the stride; the last patch ends with the volume.
fn starts(size: usize, patch: usize, overlap: f64) -> Vec<usize> {
    assert!(size >= patch, "volumes are padded to at least one patch");
    let stride = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
    let count = (size - patch).div_ceil(stride) + 1;
    (0..count).map(|i| (i * stride).min(size - patch)).collect()
}

fn importance_map(patch: [usize; 3], blend_mode: BlendMode) -> Array3<f32> {
    if blend_mode == BlendMode::Constant {
        return Array3::ones(patch);
    }
    let gaussian = |axis: usize, index: usize| {
        let distance = index as f64 - (patch[axis] as f64 - 1.0) / 2.0;
        (-0.5 * (distance / (SIGMA_SCALE * patch[axis] as f64)).powi(2)).exp()
    };
    Array3::from_shape_fn(patch, |(x, y, z)| {
        ((gaussian(0, x) * gaussian(1, y) * gaussian(2, z)) as f32).max(MIN_IMPORTANCE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_cover_the_volume_and_the_last_one_ends_with_it() {
        assert_eq!(starts(96, 96, 0.25), [0]);
        assert_eq!(starts(97, 96, 0.25), [0, 1]);
        assert_eq!(starts(240, 96, 0.75), [0, 24, 48, 72, 96, 120, 144]);
        assert_eq!(starts(100, 32, 0.5), [0, 16, 32, 48, 64, 68]);
    }

    #[test]
    fn the_center_of_a_patch_has_the_largest_weight() {
        let map = importance_map([5, 5, 5], BlendMode::Gaussian);
        assert_eq!(map[[2, 2, 2]], 1.0);
        assert_eq!(map[[0, 0, 0]], MIN_IMPORTANCE);
        // One voxel from the center along an axis: exp(−½ (1 / 0.625)²).
        assert!((map[[1, 2, 2]] - (-0.5f32 / 0.625 / 0.625).exp()).abs() < 1e-6);
    }
}
