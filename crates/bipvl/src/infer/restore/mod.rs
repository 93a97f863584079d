//! Undoes the recipe: from rows of logits to labels on the grid of the input file.
//!
//! Logits are interpolated before the decision, in float64. A voxel of the file is decided once the rows on
//! both sides of it are final, so that logits are never there for a whole volume.

mod aligned;
mod oblique;

use std::ops::Range;

use bipvl_volume::{Grid, LabelMap, Placement, Volume};
use ndarray::{Array3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;

use super::ring::Slab;

/// Receives logits on one grid, slab by slab, and decides labels on another.
#[derive(Debug)]
pub struct Restorer<'a> {
    way: Way,
    labels: &'a [u16],
    decided: LabelMap,
}

/// How the grid of the labels lies in that of the logits.
#[derive(Debug)]
enum Way {
    Same,
    Between(Placement),
}

impl<'a> Restorer<'a> {
    /// From logits on `grid`, background first, to the `labels` of the other classes on the grid `onto`.
    pub fn new(grid: &Grid, onto: &Grid, labels: &'a [u16]) -> Self {
        let way = if grid.is_same_as(onto) { Way::Same } else { Way::Between(Placement::new(grid, onto)) };
        Self { way, labels, decided: Volume::new(Array3::zeros(onto.shape()), onto.clone()) }
    }

    /// Decides the voxels whose logits lie between the two rows of a slab, or on the second, and inside its
    /// column.
    pub fn receive(&mut self, slab: &Slab) {
        let decided = self.decided.voxels_mut().view_mut();
        match &self.way {
            Way::Same => decide_in_place(decided, self.labels, slab),
            Way::Between(Placement::Aligned { axes, taps }) => {
                aligned::decide(decided.permuted_axes(*axes), taps, self.labels, slab);
            }
            Way::Between(placement @ Placement::Oblique { to_source, .. }) => {
                oblique::decide(decided, placement, to_source, self.labels, slab);
            }
        }
    }

    /// The most likely class of each voxel, as its label in files; background where no logits reach.
    pub fn into_labels(self) -> LabelMap {
        self.decided
    }
}

fn decide_in_place(decided: ArrayViewMut3<u16>, labels: &[u16], slab: &Slab) {
    let Range { start, end } = slab.column.y;
    let mut section = decided.slice_move(s![slab.x, start..end, slab.column.z.clone()]);
    section.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(y, mut line)| {
        let row = slab.rows[1].slice(s![.., y, ..line.len()]);
        let mut best = Best::new(row.row(0).iter().copied());
        for (class, label) in (1..).zip(labels) {
            best.offer(*label, row.row(class).iter().copied());
        }
        line.iter_mut().zip(best.labels).for_each(|(voxel, label)| *voxel = label);
    });
}

/// The best logits so far of a line of voxels, and whose they are; the first of equal ones stays.
struct Best {
    logits: Vec<f32>,
    labels: Vec<u16>,
}

impl Best {
    /// The logits of the background.
    fn new(background: impl Iterator<Item = f32>) -> Self {
        let logits: Vec<f32> = background.collect();
        Self { labels: vec![0; logits.len()], logits }
    }

    /// The logits of the class with this label.
    fn offer(&mut self, label: u16, logits: impl Iterator<Item = f32>) {
        for ((best, decided), logit) in self.logits.iter_mut().zip(&mut self.labels).zip(logits) {
            let is_better = logit > *best;
            *best = if is_better { logit } else { *best };
            *decided = if is_better { label } else { *decided };
        }
    }
}
