//! Grids that lie askew, as those of sheared files do once they are resampled_to: voxel by voxel.

use std::ops::Range;

use bipvl_imaging::{Affine, GridMapping, LinearWeight};
use nalgebra::Vector4;
use ndarray::{ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::{super::rolling_buffer::LogitSlab, DecisionRule};

/// Decides the voxels of a slab.
pub(super) fn decide(
    decided: ArrayViewMut3<u16>,
    placement: &GridMapping,
    to_source: &Affine,
    decision: &DecisionRule,
    slab: &LogitSlab,
) {
    let shape = decided.dim().into();
    let [xs, ys, zs] = reach(to_source, shape, slab);
    let mut decided = decided.slice_move(s![xs.clone(), ys.clone(), zs.clone()]);
    decided.axis_iter_mut(Axis(0)).into_par_iter().zip(xs).for_each(|(mut section, x)| {
        for ((y, z), voxel) in section.indexed_iter_mut() {
            let weights = placement.weights_at([x, ys.start + y, zs.start + z]);
            if is_between(&weights, slab) {
                *voxel = label(weights, decision, slab);
            }
        }
    });
}

/// A box that holds every voxel whose logits the slab may decide.
fn reach(to_source: &Affine, shape: [usize; 3], slab: &LogitSlab) -> [Range<usize>; 3] {
    let from_source = to_source.try_inverse().expect("the affine of a grid can be inverted");
    // Up to half a voxel beyond the border its value holds; one voxel more is room enough.
    let sides = [slab.x.saturating_sub(1)..slab.x, slab.column.y.clone(), slab.column.z.clone()]
        .map(|side| [side.start as f64 - 1.0, side.end as f64 + 1.0]);
    let corners = (0..8).map(|corner: usize| {
        let [x, y, z] = std::array::from_fn(|axis| sides[axis][(corner >> axis) & 1]);
        from_source * Vector4::new(x, y, z, 1.0)
    });
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for corner in corners {
        for axis in 0..3 {
            low[axis] = low[axis].min(corner[axis]);
            high[axis] = high[axis].max(corner[axis]);
        }
    }
    std::array::from_fn(|axis| {
        let end = (high[axis].ceil().max(0.0) as usize + 1).min(shape[axis]);
        (low[axis].floor().max(0.0) as usize).min(end)..end
    })
}

fn is_between(weights: &[LinearWeight; 3], slab: &LogitSlab) -> bool {
    let [x, y, z] = weights;
    weights.iter().all(|weight| weight.is_inside)
        && x.high == slab.x
        && slab.column.y.contains(&y.low)
        && slab.column.z.contains(&z.low)
}

/// The label of a place.
fn label([x, y, z]: [LinearWeight; 3], decision: &DecisionRule, slab: &LogitSlab) -> u16 {
    let rows = [&slab.rows[usize::from(x.low == slab.x)], &slab.rows[1]];
    let logit = |channel: usize| {
        let at = |row: usize, y: usize, z: usize| {
            f64::from(rows[row][[channel, y - slab.column.y.start, z - slab.column.z.start]])
        };
        let along_z = |row, y| z.lerp(at(row, y, z.low), at(row, y, z.high));
        let along_y = |row| y.lerp(along_z(row, y.low), along_z(row, y.high));
        x.lerp(along_y(0), along_y(1)) as f32
    };
    let (mut best, mut decided) = (f32::NEG_INFINITY, 0);
    for (channel, label) in decision.written.iter().enumerate() {
        let logit = logit(channel);
        if decision.label_schema.overrides(*label, logit, best) {
            (best, decided) = (logit, *label);
        }
    }
    decided
}
