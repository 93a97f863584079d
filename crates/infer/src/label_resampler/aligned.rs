//! Grids that differ by flips, permutations, spacing and place: lines of voxels share their weights.

use std::ops::Range;

use bipvl_imaging::LinearWeight;
use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::{super::rolling_buffer::LogitSlab, ArgmaxLine, DecisionRule};

/// Lines along y that one task decides; what it interpolates along z, neighboring lines share.
const LINES: usize = 8;

/// Decides the voxels of a slab; `decided` has its axes in the order of the logits, `weights` are per axis.
pub(super) fn decide(
    decided: ArrayViewMut3<u16>,
    weights: &[Vec<LinearWeight>; 3],
    decision: &DecisionRule,
    slab: &LogitSlab,
) {
    let x = falling(&weights[0], |weight| weight.high == slab.x);
    let y = falling(&weights[1], |weight| slab.column.y.contains(&weight.low));
    let z = falling(&weights[2], |weight| slab.column.z.contains(&weight.low));
    let mut decided = decided.slice_move(s![x.clone(), y.clone(), z.clone()]);
    if decided.is_empty() {
        return;
    }
    let [x, y, z] = [&weights[0][x], &weights[1][y], &weights[2][z]];
    let blocks = decided.axis_chunks_iter_mut(Axis(1), LINES).into_par_iter();
    blocks.zip(y.par_chunks(LINES)).for_each(|(decided, y)| decide_block(decided, [x, y, z], decision, slab));
}

/// The indices of the weights inside the source that are wanted; they follow each other.
fn falling(weights: &[LinearWeight], is_wanted: impl Fn(&LinearWeight) -> bool) -> Range<usize> {
    let wanted = |weight: &LinearWeight| weight.is_inside && is_wanted(weight);
    let start = weights.iter().position(wanted).unwrap_or(0);
    let end = weights.iter().rposition(wanted).map_or(start, |last| last + 1);
    start..end
}

fn decide_block(
    mut decided: ArrayViewMut3<u16>,
    weights: [&[LinearWeight]; 3],
    decision: &DecisionRule,
    slab: &LogitSlab,
) {
    let [xs, ys, zs] = weights;
    let first = ys.iter().map(|weight| weight.low).min().expect("a block has lines");
    let last = ys.iter().map(|weight| weight.high).max().expect("a block has lines");
    let mut lines = Lines { first, count: last - first + 1, voxels: Vec::new() };
    let mut best: Vec<ArgmaxLine> = (0..xs.len() * ys.len()).map(|_| ArgmaxLine::new(zs.len())).collect();
    for channel in 0..decision.written.len() {
        lines.interpolate(channel, zs, slab);
        for (index, (x, y)) in xs.iter().flat_map(|x| ys.iter().map(move |y| (x, y))).enumerate() {
            let before = usize::from(x.low == slab.x);
            let [a, b] = [y.low, y.high].map(|y| lines.get(before, y, zs.len()));
            let [c, d] = [y.low, y.high].map(|y| lines.get(1, y, zs.len()));
            let values = a.iter().zip(b).zip(c.iter().zip(d));
            let logits = values.map(|((a, b), (c, d))| x.lerp(y.lerp(*a, *b), y.lerp(*c, *d)) as f32);
            best[index].update(decision, channel, logits);
        }
    }
    for (mut line, best) in decided.lanes_mut(Axis(2)).into_iter().zip(best) {
        line.iter_mut().zip(best.labels).for_each(|(voxel, label)| *voxel = label);
    }
}

/// Logits of one channel interpolated along z, for the lines of two rows that a block needs.
struct Lines {
    /// Index along y of the first line.
    first: usize,
    /// Lines of a row.
    count: usize,
    /// `[rows, lines, z]`
    voxels: Vec<f64>,
}

impl Lines {
    fn interpolate(&mut self, channel: usize, zs: &[LinearWeight], slab: &LogitSlab) {
        self.voxels.clear();
        for row in &slab.rows {
            let row: ArrayView3<f32> = row.view();
            for y in self.first..self.first + self.count {
                let line = row.slice(s![channel, y - slab.column.y.start, ..]);
                let line = line.to_slice().expect("a row is contiguous along z");
                let at = |z: usize| f64::from(line[z - slab.column.z.start]);
                self.voxels.extend(zs.iter().map(|weight| weight.lerp(at(weight.low), at(weight.high))));
            }
        }
    }

    fn get(&self, row: usize, y: usize, length: usize) -> &[f64] {
        &self.voxels[(row * self.count + y - self.first) * length..][..length]
    }
}
