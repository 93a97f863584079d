//! Axis-aligned grids: lines of voxels share their interpolation weights.

use std::ops::Range;

use bipvl_imaging::LinearWeight;
use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::{
    super::rolling_buffer::LogitSlab,
    decision::{DecisionLine, DecisionRule},
};

/// Lines along y per task; neighboring lines share the interpolation along z.
const LINES: usize = 8;

/// Decides the voxels of a slab; `voxels` has its axes in the order of the logits, `weights` are per axis.
pub(super) fn decide<R: DecisionRule>(
    voxels: ArrayViewMut3<R::Voxel>,
    weights: &[Vec<LinearWeight>; 3],
    rule: &R,
    slab: &LogitSlab,
) {
    let x = indices_of(&weights[0], |weight| weight.high == slab.x);
    let y = indices_of(&weights[1], |weight| slab.column.y.contains(&weight.low));
    let z = indices_of(&weights[2], |weight| slab.column.z.contains(&weight.low));
    let mut voxels = voxels.slice_move(s![x.clone(), y.clone(), z.clone()]);
    if voxels.is_empty() {
        return;
    }
    let [x, y, z] = [&weights[0][x], &weights[1][y], &weights[2][z]];
    let blocks = voxels.axis_chunks_iter_mut(Axis(1), LINES).into_par_iter();
    blocks.zip(y.par_chunks(LINES)).for_each(|(block, y)| decide_block(block, [x, y, z], rule, slab));
}

/// The contiguous indices of the weights inside the source with `selects`.
fn indices_of(weights: &[LinearWeight], selects: impl Fn(&LinearWeight) -> bool) -> Range<usize> {
    let is_selected = |weight: &LinearWeight| weight.is_inside && selects(weight);
    let start = weights.iter().position(is_selected).unwrap_or(0);
    let end = weights.iter().rposition(is_selected).map_or(start, |last| last + 1);
    start..end
}

fn decide_block<R: DecisionRule>(
    mut voxels: ArrayViewMut3<R::Voxel>,
    weights: [&[LinearWeight]; 3],
    rule: &R,
    slab: &LogitSlab,
) {
    let [xs, ys, zs] = weights;
    let first = ys.iter().map(|weight| weight.low).min().expect("a block has lines");
    let last = ys.iter().map(|weight| weight.high).max().expect("a block has lines");
    let mut lines = Lines { first, count: last - first + 1, voxels: Vec::new() };
    let mut decisions: Vec<DecisionLine<R>> =
        (0..xs.len() * ys.len()).map(|_| DecisionLine::new(zs.len())).collect();
    for channel in rule.channels() {
        lines.interpolate(channel, zs, slab);
        for (index, (x, y)) in xs.iter().flat_map(|x| ys.iter().map(move |y| (x, y))).enumerate() {
            let before = usize::from(x.low == slab.x);
            let [a, b] = [y.low, y.high].map(|y| lines.get(before, y, zs.len()));
            let [c, d] = [y.low, y.high].map(|y| lines.get(1, y, zs.len()));
            let values = a.iter().zip(b).zip(c.iter().zip(d));
            let logits = values.map(|((a, b), (c, d))| x.lerp(y.lerp(*a, *b), y.lerp(*c, *d)) as f32);
            decisions[index].update(rule, channel, logits);
        }
    }
    for (mut line, decision) in voxels.lanes_mut(Axis(2)).into_iter().zip(decisions) {
        line.iter_mut().zip(decision.voxels).for_each(|(voxel, decided)| *voxel = decided);
    }
}

/// Logits of one channel interpolated along z, for the lines of the two rows of a block.
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
