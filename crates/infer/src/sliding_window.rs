//! Where patches stand, and how overlapping logits are weighted and added.

use std::ops::Range;

use ndarray::{Array3, ArrayView4, Slice};
use serde::{Deserialize, Serialize};

use super::{
    constant_patch_cache::Logits,
    rolling_buffer::{LogitSlab, RollingBuffer},
    tiling::{AxisTiling, TileColumn, columns},
};

/// Bytes for the logits that are being added up; a volume that needs more is cut.
const DEFAULT_MEMORY: usize = 512 << 20;
/// Deviation of the Gaussian importance map as a share of the patch, as in MONAI and nnU-Net.
const SIGMA_SCALE: f64 = 0.125;
/// Smallest importance, so that the corner of a volume is never divided by zero; MONAI's.
const MIN_IMPORTANCE: f32 = 1e-3;

/// How overlapping logits are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlendMode {
    /// Voxels near the center of a patch count more.
    Gaussian,
    /// All voxels count alike.
    Constant,
}

/// Covers volumes with patches of one shape.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    patch: [usize; 3],
    overlap: f64,
    importance: Array3<f32>,
    memory: usize,
}

impl SlidingWindow {
    /// Patches of `patch` voxels whose neighbors share `overlap` of each side (0 to less than 1).
    pub fn new(patch: [usize; 3], overlap: f64, blend_mode: BlendMode) -> Self {
        assert!((0.0..1.0).contains(&overlap), "overlap is a share below 1");
        Self { patch, overlap, importance: importance_map(patch, blend_mode), memory: DEFAULT_MEMORY }
    }

    /// The same with other memory for logits; it changes the time that is needed, but no bit of the result.
    #[must_use]
    pub fn with_memory_limit(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Plans how a volume of `shape`, whose sides are at least the patch's, is covered with patches that
    /// give `outputs` logits a voxel.
    pub fn plan(&self, shape: [usize; 3], outputs: usize) -> TilingPlan<'_> {
        let axes = std::array::from_fn(|axis| AxisTiling {
            length: shape[axis],
            patch: self.patch[axis],
            starts: starts(shape[axis], self.patch[axis], self.overlap),
        });
        let area = self.memory / RollingBuffer::bytes_per_voxel(outputs, self.patch[0]);
        let columns = columns(&axes[1], &axes[2], area);
        TilingPlan { window: self, axes, outputs, columns }
    }
}

/// How one volume is covered.
#[derive(Debug)]
pub struct TilingPlan<'a> {
    window: &'a SlidingWindow,
    axes: [AxisTiling; 3],
    outputs: usize,
    columns: Vec<TileColumn>,
}

impl TilingPlan<'_> {
    /// How many patches are segmented; one that reaches into several columns counts for each.
    pub fn patches(&self) -> usize {
        self.columns.iter().map(|column| self.starts(column).len()).sum()
    }

    /// Runs `segment` on every patch of `volume`, `[channels, x, y, z]`, averages the logits it gives,
    /// weighted by importance, and hands them to `receive` row by row of x, column by column.
    ///
    /// Patches go in the order of x, y and z of their first voxels, so that each voxel is the same sum in
    /// the same order however the volume is cut.
    pub fn run(
        &self,
        volume: ArrayView4<f32>,
        mut segment: impl FnMut(ArrayView4<f32>) -> Logits,
        mut receive: impl FnMut(&LogitSlab),
    ) {
        let [x, y, z] = &self.axes;
        for column in &self.columns {
            let held = [y.with_neighbor(&column.y), z.with_neighbor(&column.z)];
            let mut ring = RollingBuffer::new(column, held, self.outputs, x.patch);
            for start in self.starts(column) {
                ring.finish_before(start[0], &mut receive);
                let logits = segment(volume.slice_each_axis(|axis| match axis.axis.index() {
                    0 => Slice::from(..),
                    axis => Slice::from(self.place(start, axis - 1)),
                }));
                ring.add(start, logits.view(), self.window.importance.view());
            }
            ring.finish_before(x.length, &mut receive);
        }
    }

    fn place(&self, start: [usize; 3], axis: usize) -> Range<usize> {
        start[axis]..start[axis] + self.axes[axis].patch
    }

    /// First voxels of all patches that reach a column, x slowest.
    fn starts(&self, column: &TileColumn) -> Vec<[usize; 3]> {
        let [x, y, z] = &self.axes;
        let (ys, zs): (Vec<_>, Vec<_>) = (y.reaching(&column.y).collect(), z.reaching(&column.z).collect());
        let section = || ys.iter().flat_map(|&y| zs.iter().map(move |&z| (y, z)));
        x.starts.iter().flat_map(|&x| section().map(move |(y, z)| [x, y, z])).collect()
    }
}

/// Multiples of the step; the last patch is moved back to end with the volume.
fn starts(size: usize, patch: usize, overlap: f64) -> Vec<usize> {
    assert!(size >= patch, "a volume is padded to at least one patch");
    let step = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
    let count = (size - patch).div_ceil(step) + 1;
    (0..count).map(|i| (i * step).min(size - patch)).collect()
}

fn importance_map(patch: [usize; 3], blend_mode: BlendMode) -> Array3<f32> {
    if blend_mode == BlendMode::Constant {
        return Array3::ones(patch);
    }
    let bell = |axis: usize, index: usize| {
        let distance = index as f64 - (patch[axis] as f64 - 1.0) / 2.0;
        (-0.5 * (distance / (SIGMA_SCALE * patch[axis] as f64)).powi(2)).exp()
    };
    Array3::from_shape_fn(patch, |(x, y, z)| {
        ((bell(0, x) * bell(1, y) * bell(2, z)) as f32).max(MIN_IMPORTANCE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_cover_a_volume_and_the_last_ends_with_it() {
        assert_eq!(starts(96, 96, 0.25), [0]);
        assert_eq!(starts(97, 96, 0.25), [0, 1]);
        assert_eq!(starts(240, 96, 0.75), [0, 24, 48, 72, 96, 120, 144]);
        assert_eq!(starts(100, 32, 0.5), [0, 16, 32, 48, 64, 68]);
    }

    #[test]
    fn the_center_of_a_patch_counts_most() {
        let map = importance_map([5, 5, 5], BlendMode::Gaussian);
        assert_eq!(map[[2, 2, 2]], 1.0);
        assert_eq!(map[[0, 0, 0]], MIN_IMPORTANCE);
        // One voxel from the center along an axis: exp(−½ (1 / 0.625)²).
        assert!((map[[1, 2, 2]] - (-0.5f32 / 0.625 / 0.625).exp()).abs() < 1e-6);
    }
}
