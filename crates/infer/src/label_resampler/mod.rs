//! Undoes the preprocess: from rows of logits to labels on the grid of the input file.
//!
//! Logits are interpolated before the decision, in float64. A voxel of the file is decided once the rows on
//! both sides of it are final, so that logits are never there for a whole volume.

mod aligned;
mod oblique;

use std::ops::Range;

use bipvl_imaging::{Grid, GridMapping, LabelMap, Volume};
use ndarray::{Array3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::rolling_buffer::LogitSlab;
use bipvl_data::LabelSchema;

/// Receives logits on one grid, slab by slab, and decides labels on another.
#[derive(Debug)]
pub struct LabelResampler<'a> {
    resampling: Resampling,
    decision: DecisionRule<'a>,
    decided: LabelMap,
}

/// How the grid of the labels lies in that of the logits.
#[derive(Debug)]
enum Resampling {
    Identity,
    Interpolated(GridMapping),
}

impl<'a> LabelResampler<'a> {
    /// From logits on `grid` to labels on the grid `target_grid`.
    pub fn new(grid: &Grid, target_grid: &Grid, label_schema: &'a LabelSchema) -> Self {
        let resampling = if grid.approx_eq(target_grid) {
            Resampling::Identity
        } else {
            Resampling::Interpolated(GridMapping::new(grid, target_grid))
        };
        let decision = DecisionRule { label_schema, written: label_schema.channel_labels() };
        Self {
            resampling,
            decision,
            decided: Volume::new(Array3::zeros(target_grid.shape()), target_grid.clone()),
        }
    }

    /// Decides the voxels whose logits lie between the two rows of a slab, or on the second, and inside its
    /// column.
    pub fn push_slab(&mut self, slab: &LogitSlab) {
        let (decided, decision) = (self.decided.voxels_mut().view_mut(), &self.decision);
        match &self.resampling {
            Resampling::Identity => decide_in_place(decided, decision, slab),
            Resampling::Interpolated(GridMapping::Aligned { axes, weights }) => {
                aligned::decide(decided.permuted_axes(*axes), weights, decision, slab);
            }
            Resampling::Interpolated(placement @ GridMapping::Oblique { to_source, .. }) => {
                oblique::decide(decided, placement, to_source, decision, slab);
            }
        }
    }

    /// The label of each voxel; background where no logits reach.
    pub fn finish(self) -> LabelMap {
        self.decided
    }
}

fn decide_in_place(decided: ArrayViewMut3<u16>, decision: &DecisionRule, slab: &LogitSlab) {
    let Range { start, end } = slab.column.y;
    let mut section = decided.slice_move(s![slab.x, start..end, slab.column.z.clone()]);
    section.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(y, mut line)| {
        let row = slab.rows[1].slice(s![.., y, ..line.len()]);
        let mut best = ArgmaxLine::new(line.len());
        for (channel, logits) in row.outer_iter().enumerate() {
            best.update(decision, channel, logits.iter().copied());
        }
        line.iter_mut().zip(best.labels).for_each(|(voxel, label)| *voxel = label);
    });
}

/// Asks the channels of the logits one after the other.
#[derive(Debug)]
struct DecisionRule<'a> {
    label_schema: &'a LabelSchema,
    /// The label that each channel writes.
    written: Vec<u16>,
}

/// The logits that last took the voxels of a line, and the labels that they wrote.
struct ArgmaxLine {
    logits: Vec<f32>,
    labels: Vec<u16>,
}

impl ArgmaxLine {
    /// Background, before any channel is asked.
    fn new(length: usize) -> Self {
        Self { logits: vec![f32::NEG_INFINITY; length], labels: vec![0; length] }
    }

    /// Asks a channel.
    fn update(&mut self, decision: &DecisionRule, channel: usize, logits: impl Iterator<Item = f32>) {
        let label = decision.written[channel];
        for ((best, decided), logit) in self.logits.iter_mut().zip(&mut self.labels).zip(logits) {
            let takes = decision.label_schema.overrides(label, logit, *best);
            *best = if takes { logit } else { *best };
            *decided = if takes { label } else { *decided };
        }
    }
}
