//! The logits of one column, for the rows along x that patches can still change.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, ArrayView4, Axis, Zip, s};
use rayon::prelude::*;

use super::tiling::TileColumn;

/// Two finished rows of blended logits of one column, neighbors along x.
#[derive(Debug)]
pub struct LogitSlab<'a> {
    /// Index along x of the second row.
    pub x: usize,
    /// The column; the rows also have the next voxel of each axis, if there is one.
    pub column: &'a TileColumn,
    /// Rows `x − 1` (or `x` if there is none) and `x`, each `[logits, y, z]`.
    pub rows: [ArrayView3<'a, f32>; 2],
}

/// Weighted sums of logits by row, in a ring of one row more than a patch has: the last finished one.
pub(super) struct RollingBuffer<'a> {
    column: &'a TileColumn,
    /// Buffered voxels along y and z.
    extent: [Range<usize>; 2],
    rows: Vec<Row>,
    /// The first unfinished row.
    next: usize,
}

struct Row {
    /// `[logits, y, z]`
    sums: Array3<f32>,
    /// `[y, z]`
    weights: Array2<f32>,
}

impl<'a> RollingBuffer<'a> {
    pub(super) fn new(
        column: &'a TileColumn,
        extent: [Range<usize>; 2],
        num_logits: usize,
        patch: usize,
    ) -> Self {
        let [y, z] = extent.each_ref().map(Range::len);
        let row = || Row { sums: Array3::zeros((num_logits, y, z)), weights: Array2::zeros((y, z)) };
        Self { column, extent, rows: (0..=patch).map(|_| row()).collect(), next: 0 }
    }

    /// Bytes per buffered voxel of the y-z plane.
    pub(super) fn bytes_per_voxel(num_logits: usize, patch: usize) -> usize {
        (patch + 1) * (num_logits + 1) * size_of::<f32>()
    }

    /// Adds the logits `[logits, x, y, z]` of the patch at `start`, weighted by `importance`.
    pub(super) fn add(&mut self, start: [usize; 3], logits: ArrayView4<f32>, importance: ArrayView3<f32>) {
        let [x, y, z] = start;
        let (depth, height, width) = importance.dim();
        let (in_patch_y, in_row_y) = intersection(&(y..y + height), &self.extent[0]);
        let (in_patch_z, in_row_z) = intersection(&(z..z + width), &self.extent[1]);
        let count = self.rows.len();
        self.rows.par_iter_mut().enumerate().for_each(|(slot, row)| {
            let row_of_patch = (slot + count - x % count) % count;
            if row_of_patch >= depth {
                return;
            }
            let logits = logits.slice(s![.., row_of_patch, in_patch_y.clone(), in_patch_z.clone()]);
            let importance = importance.slice(s![row_of_patch, in_patch_y.clone(), in_patch_z.clone()]);
            let mut sums = row.sums.slice_mut(s![.., in_row_y.clone(), in_row_z.clone()]);
            for (sum, logits) in sums.outer_iter_mut().zip(logits.outer_iter()) {
                Zip::from(sum)
                    .and(logits)
                    .and(importance)
                    .for_each(|sum, logit, weight| *sum += logit * weight);
            }
            let mut weights = row.weights.slice_mut(s![in_row_y.clone(), in_row_z.clone()]);
            weights += &importance;
        });
    }

    /// Finishes the rows before `end`, which no later patch changes, and passes them on; their memory is reused.
    pub(super) fn finish_before(&mut self, end: usize, on_slab: &mut impl FnMut(&LogitSlab)) {
        let count = self.rows.len();
        while self.next < end {
            let (before, present) = (self.next.saturating_sub(1) % count, self.next % count);
            self.rows[present].divide();
            let rows = [before, present].map(|slot| self.rows[slot].sums.view());
            on_slab(&LogitSlab { x: self.next, column: self.column, rows });
            if before != present {
                self.rows[before].clear();
            }
            self.next += 1;
        }
    }
}

impl Row {
    fn divide(&mut self) {
        let weights = &self.weights;
        self.sums.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut sum| sum /= weights);
    }

    fn clear(&mut self) {
        self.sums.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut sum| sum.fill(0.0));
        self.weights.fill(0.0);
    }
}

/// The intersection of two ranges, relative to the start of each.
fn intersection(one: &Range<usize>, other: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let (low, high) = (one.start.max(other.start), one.end.min(other.end));
    (low - one.start..high - one.start, low - other.start..high - other.start)
}
