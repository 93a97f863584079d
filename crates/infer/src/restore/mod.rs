//! Undoes the recipe: from rows of logits to labels on the grid of the input file.
//!
//! Logits are interpolated before the decision, in float64. A voxel of the file is decided once the rows on
//! both sides of it are final, so that logits are never there for a whole volume.

mod aligned;
mod oblique;

use std::ops::Range;

use bipvl_imaging::{Grid, GridMapping, LabelMap, Volume};
use ndarray::{Array3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::ring::Slab;
use bipvl_data::Labeling;

/// Receives logits on one grid, slab by slab, and decides labels on another.
#[derive(Debug)]
pub struct Restorer<'a> {
    way: Way,
    decision: Decision<'a>,
    decided: LabelMap,
}

/// How the grid of the labels lies in that of the logits.
#[derive(Debug)]
enum Way {
    Same,
    Between(GridMapping),
}

impl<'a> Restorer<'a> {
    /// From logits on `grid` to labels on the grid `onto`.
    pub fn new(grid: &Grid, onto: &Grid, labeling: &'a Labeling) -> Self {
        let way = if grid.is_same_as(onto) { Way::Same } else { Way::Between(GridMapping::new(grid, onto)) };
        let decision = Decision { labeling, written: labeling.written() };
        Self { way, decision, decided: Volume::new(Array3::zeros(onto.shape()), onto.clone()) }
    }

    /// Decides the voxels whose logits lie between the two rows of a slab, or on the second, and inside its
    /// column.
    pub fn receive(&mut self, slab: &Slab) {
        let (decided, decision) = (self.decided.voxels_mut().view_mut(), &self.decision);
        match &self.way {
            Way::Same => decide_in_place(decided, decision, slab),
            Way::Between(GridMapping::Aligned { axes, taps }) => {
                aligned::decide(decided.permuted_axes(*axes), taps, decision, slab);
            }
            Way::Between(placement @ GridMapping::Oblique { to_source, .. }) => {
                oblique::decide(decided, placement, to_source, decision, slab);
            }
        }
    }

    /// The label of each voxel; background where no logits reach.
    pub fn into_labels(self) -> LabelMap {
        self.decided
    }
}

fn decide_in_place(decided: ArrayViewMut3<u16>, decision: &Decision, slab: &Slab) {
    let Range { start, end } = slab.column.y;
    let mut section = decided.slice_move(s![slab.x, start..end, slab.column.z.clone()]);
    section.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(y, mut line)| {
        let row = slab.rows[1].slice(s![.., y, ..line.len()]);
        let mut best = Best::new(line.len());
        for (channel, logits) in row.outer_iter().enumerate() {
            best.offer(decision, channel, logits.iter().copied());
        }
        line.iter_mut().zip(best.labels).for_each(|(voxel, label)| *voxel = label);
    });
}

/// Asks the channels of the logits one after the other.
#[derive(Debug)]
struct Decision<'a> {
    labeling: &'a Labeling,
    /// The label that each channel writes.
    written: Vec<u16>,
}

/// The logits that last took the voxels of a line, and the labels that they wrote.
struct Best {
    logits: Vec<f32>,
    labels: Vec<u16>,
}

impl Best {
    /// Background, before any channel is asked.
    fn new(length: usize) -> Self {
        Self { logits: vec![f32::NEG_INFINITY; length], labels: vec![0; length] }
    }

    /// Asks a channel.
    fn offer(&mut self, decision: &Decision, channel: usize, logits: impl Iterator<Item = f32>) {
        let label = decision.written[channel];
        for ((best, decided), logit) in self.logits.iter_mut().zip(&mut self.labels).zip(logits) {
            let takes = decision.labeling.takes(label, logit, *best);
            *best = if takes { logit } else { *best };
            *decided = if takes { label } else { *decided };
        }
    }
}
