//! Grids that are not axis-aligned, such as those of sheared files after resampling: voxel by voxel.

use std::ops::Range;

use bipvl_imaging::{Affine, GridMapping, LinearWeight};
use nalgebra::Vector4;
use ndarray::{ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::{super::rolling_buffer::LogitSlab, decision::DecisionRule};

/// Decides the voxels of a slab.
pub(super) fn decide<R: DecisionRule>(
    voxels: ArrayViewMut3<R::Voxel>,
    mapping: &GridMapping,
    to_source: &Affine,
    rule: &R,
    slab: &LogitSlab,
) {
    let shape = voxels.dim().into();
    let [xs, ys, zs] = bounding_box(to_source, shape, slab);
    let mut voxels = voxels.slice_move(s![xs.clone(), ys.clone(), zs.clone()]);
    voxels.axis_iter_mut(Axis(0)).into_par_iter().zip(xs).for_each(|(mut section, x)| {
        for ((y, z), voxel) in section.indexed_iter_mut() {
            let weights = mapping.weights_at([x, ys.start + y, zs.start + z]);
            if is_between(&weights, slab) {
                *voxel = decide_voxel(weights, rule, slab);
            }
        }
    });
}

/// A box around all voxels that the slab may decide.
fn bounding_box(to_source: &Affine, shape: [usize; 3], slab: &LogitSlab) -> [Range<usize>; 3] {
    let from_source = to_source.try_inverse().expect("the affine of a grid can be inverted");
    // A border voxel counts half a voxel beyond its center; one voxel is a safe margin.
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

fn decide_voxel<R: DecisionRule>([x, y, z]: [LinearWeight; 3], rule: &R, slab: &LogitSlab) -> R::Voxel {
    let rows = [&slab.rows[usize::from(x.low == slab.x)], &slab.rows[1]];
    let logit = |channel: usize| {
        let at = |row: usize, y: usize, z: usize| {
            f64::from(rows[row][[channel, y - slab.column.y.start, z - slab.column.z.start]])
        };
        let along_z = |row, y| z.lerp(at(row, y, z.low), at(row, y, z.high));
        let along_y = |row| y.lerp(along_z(row, y.low), along_z(row, y.high));
        x.lerp(along_y(0), along_y(1)) as f32
    };
    let (mut best, mut voxel) = (f32::NEG_INFINITY, R::Voxel::default());
    for channel in rule.channels() {
        rule.update(channel, logit(channel), &mut best, &mut voxel);
    }
    voxel
}
