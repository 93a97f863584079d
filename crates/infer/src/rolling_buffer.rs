//! The logits of one column, of as many rows of x as patches still reach.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, ArrayView4, Axis, Zip, s};
use rayon::prelude::*;

use super::tiling::TileColumn;

/// Final logits on both sides of a step along x, inside one column.
#[derive(Debug)]
pub struct LogitSlab<'a> {
    /// Index along x of the second of the rows.
    pub x: usize,
    /// The voxels that this column answers for; the rows hold the next one of each axis too, if there is one.
    pub column: &'a TileColumn,
    /// Rows `x − 1` (where there is none, `x` again) and `x`, each `[outputs, y, z]`.
    pub rows: [ArrayView3<'a, f32>; 2],
}

/// Sums of logits, row by row of x. One row more than a patch has: the last that was finished.
pub(super) struct RollingBuffer<'a> {
    column: &'a TileColumn,
    /// The voxels held along y and z.
    held: [Range<usize>; 2],
    rows: Vec<Row>,
    /// The first row that is not finished.
    next: usize,
}

struct Row {
    /// `[outputs, y, z]`
    sums: Array3<f32>,
    /// `[y, z]`
    weights: Array2<f32>,
}

impl<'a> RollingBuffer<'a> {
    pub(super) fn new(column: &'a TileColumn, held: [Range<usize>; 2], outputs: usize, patch: usize) -> Self {
        let [y, z] = held.each_ref().map(Range::len);
        let row = || Row { sums: Array3::zeros((outputs, y, z)), weights: Array2::zeros((y, z)) };
        Self { column, held, rows: (0..=patch).map(|_| row()).collect(), next: 0 }
    }

    /// Bytes for each voxel of the section that a ring holds.
    pub(super) fn bytes_per_voxel(outputs: usize, patch: usize) -> usize {
        (patch + 1) * (outputs + 1) * size_of::<f32>()
    }

    /// Adds the logits `[outputs, x, y, z]` of the patch that starts at `start`, weighted by `importance`.
    pub(super) fn add(&mut self, start: [usize; 3], logits: ArrayView4<f32>, importance: ArrayView3<f32>) {
        let [x, y, z] = start;
        let (depth, height, width) = importance.dim();
        let (in_patch_y, in_row_y) = shared(&(y..y + height), &self.held[0]);
        let (in_patch_z, in_row_z) = shared(&(z..z + width), &self.held[1]);
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
                    .for_each(|sum, logit, share| *sum += logit * share);
            }
            let mut weights = row.weights.slice_mut(s![in_row_y.clone(), in_row_z.clone()]);
            weights += &importance;
        });
    }

    /// Finishes the rows before `end`, which no later patch reaches, and hands them on; their storage is
    /// used again.
    pub(super) fn finish_before(&mut self, end: usize, receive: &mut impl FnMut(&LogitSlab)) {
        let count = self.rows.len();
        while self.next < end {
            let (before, present) = (self.next.saturating_sub(1) % count, self.next % count);
            self.rows[present].divide();
            let rows = [before, present].map(|slot| self.rows[slot].sums.view());
            receive(&LogitSlab { x: self.next, column: self.column, rows });
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

/// The voxels that two ranges share, counted from the start of each.
fn shared(one: &Range<usize>, other: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let (low, high) = (one.start.max(other.start), one.end.min(other.end));
    (low - one.start..high - one.start, low - other.start..high - other.start)
}
