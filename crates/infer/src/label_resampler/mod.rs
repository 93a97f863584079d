//! Inverts preprocessing: from slabs of logits to a segmentation on the grid of the input file.
//!
//! Logits are interpolated before the decision, in float64, as in nnU-Net
//! (`convert_predicted_logits_to_segmentation_with_correct_shape`). A voxel is decided once the rows on both sides of
//! it are final, so that the logits of a whole volume are never in memory.

mod aligned;
mod decision;
mod oblique;
mod probabilities;

use std::ops::Range;

use bipvl_data::LabelSchema;
use bipvl_imaging::{Grid, GridMapping, LabelMap, SegmentationVoxels, Volume};
use ndarray::{Array3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::rolling_buffer::LogitSlab;
use decision::{Argmax, DecisionLine, DecisionRule, LargestPositive, Threshold};

pub use probabilities::ProbabilityResampler;

/// Classes that may overlap; while logits arrive, a voxel stores one bit per class.
pub const MAX_OVERLAPPING_CLASSES: usize = 32;

/// Takes logits on one grid, slab by slab, and decides the classes of the voxels of another.
#[derive(Debug)]
pub struct LabelResampler {
    resampling: Resampling,
    grid: Grid,
    voxels: Voxels,
}

/// How the target grid lies in that of the logits.
#[derive(Debug)]
enum Resampling {
    Identity,
    Interpolated(GridMapping),
}

impl Resampling {
    fn new(grid: &Grid, target_grid: &Grid) -> Self {
        if grid.approx_eq(target_grid) {
            Self::Identity
        } else {
            Self::Interpolated(GridMapping::new(grid, target_grid))
        }
    }
}

/// Masks as they were decided.
#[derive(Debug)]
pub enum MaskVoxels {
    /// Bit `i` is mask `i`.
    Sets(Array3<u32>),
    /// Label `i + 1` is mask `i`, 0 none.
    Labels(Array3<u16>),
}

/// What has been decided so far.
#[derive(Debug)]
enum Voxels {
    Labels(Argmax, Array3<u16>),
    /// Bit `i` is class `i`.
    ClassSets(Threshold, Array3<u32>),
    Exclusive(LargestPositive, Array3<u16>),
}

impl LabelResampler {
    /// A resampler from logits on `grid` to `target_grid`.
    ///
    /// # Panics
    ///
    /// When more than [`MAX_OVERLAPPING_CLASSES`] classes overlap.
    pub fn new(grid: &Grid, target_grid: &Grid, label_schema: &LabelSchema) -> Self {
        let resampling = Resampling::new(grid, target_grid);
        let shape = target_grid.shape();
        let voxels = if label_schema.is_overlapping() {
            let classes = label_schema.num_classes();
            assert!(classes <= MAX_OVERLAPPING_CLASSES, "at most 32 classes overlap");
            Voxels::ClassSets(Threshold(classes), Array3::zeros(shape))
        } else {
            Voxels::Labels(Argmax(label_schema.channel_labels()), Array3::zeros(shape))
        };
        Self { resampling, grid: target_grid.clone(), voxels }
    }

    /// A resampler of `count` masks that may overlap.
    ///
    /// # Panics
    ///
    /// When there are more than [`MAX_OVERLAPPING_CLASSES`].
    pub fn for_masks(grid: &Grid, target_grid: &Grid, count: usize) -> Self {
        assert!(count <= MAX_OVERLAPPING_CLASSES, "at most 32 masks");
        let voxels = Voxels::ClassSets(Threshold(count), Array3::zeros(target_grid.shape()));
        Self { resampling: Resampling::new(grid, target_grid), grid: target_grid.clone(), voxels }
    }

    /// A resampler of masks that exclude each other: a voxel belongs to the largest logit among those of at least 0. The
    /// labels are 1, 2, … in the order of the masks.
    pub fn for_exclusive_masks(grid: &Grid, target_grid: &Grid, count: usize) -> Self {
        let voxels = Voxels::Exclusive(LargestPositive(count), Array3::zeros(target_grid.shape()));
        Self { resampling: Resampling::new(grid, target_grid), grid: target_grid.clone(), voxels }
    }

    /// Decides the voxels between the two rows of the slab, or on the second, and inside its column.
    pub fn push_slab(&mut self, slab: &LogitSlab) {
        match &mut self.voxels {
            Voxels::Labels(rule, voxels) => decide(voxels.view_mut(), rule, &self.resampling, slab),
            Voxels::ClassSets(rule, voxels) => decide(voxels.view_mut(), rule, &self.resampling, slab),
            Voxels::Exclusive(rule, voxels) => decide(voxels.view_mut(), rule, &self.resampling, slab),
        }
    }

    /// The voxels of masks before any is taken out of them: one bit per mask, or one label.
    ///
    /// # Panics
    ///
    /// When the resampler is one of classes.
    pub fn finish_masks(self) -> MaskVoxels {
        match self.voxels {
            Voxels::ClassSets(_, sets) => MaskVoxels::Sets(sets),
            Voxels::Exclusive(_, labels) => MaskVoxels::Labels(labels),
            Voxels::Labels(..) => panic!("a resampler of classes has no masks"),
        }
    }

    /// The voxels; background where there were no logits. Masks are in the order of the classes.
    pub fn finish(self) -> SegmentationVoxels {
        match self.voxels {
            Voxels::Labels(_, voxels) | Voxels::Exclusive(_, voxels) => {
                SegmentationVoxels::Labels(LabelMap::new(voxels, self.grid))
            }
            Voxels::ClassSets(Threshold(classes), sets) => {
                let mask =
                    |class: usize| Volume::new(sets.mapv(|set| set >> class & 1 == 1), self.grid.clone());
                SegmentationVoxels::Masks((0..classes).map(mask).collect())
            }
        }
    }
}

fn decide<R: DecisionRule>(
    voxels: ArrayViewMut3<R::Voxel>,
    rule: &R,
    resampling: &Resampling,
    slab: &LogitSlab,
) {
    match resampling {
        Resampling::Identity => decide_in_place(voxels, rule, slab),
        Resampling::Interpolated(GridMapping::Aligned { axes, weights }) => {
            aligned::decide(voxels.permuted_axes(*axes), weights, rule, slab);
        }
        Resampling::Interpolated(mapping @ GridMapping::Oblique { to_source, .. }) => {
            oblique::decide(voxels, mapping, to_source, rule, slab);
        }
    }
}

fn decide_in_place<R: DecisionRule>(voxels: ArrayViewMut3<R::Voxel>, rule: &R, slab: &LogitSlab) {
    let Range { start, end } = slab.column.y;
    let mut section = voxels.slice_move(s![slab.x, start..end, slab.column.z.clone()]);
    section.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(y, mut line)| {
        let row = slab.rows[1].slice(s![.., y, ..line.len()]);
        let mut decision = DecisionLine::<R>::new(line.len());
        for channel in rule.channels() {
            decision.update(rule, channel, row.row(channel).iter().copied());
        }
        line.iter_mut().zip(decision.voxels).for_each(|(voxel, decided)| *voxel = decided);
    });
}
