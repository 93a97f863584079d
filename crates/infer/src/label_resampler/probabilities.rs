//! Probabilities of the classes on the grid of the input file.

use std::ops::Range;

use bipvl_data::LabelSchema;
use bipvl_imaging::{Grid, Volume};
use ndarray::{Array3, Zip};

use super::{super::rolling_buffer::LogitSlab, Resampling, decide, decision::DecisionRule};

/// Takes logits on one grid, slab by slab, and keeps the probability of each class in the voxels of another.
///
/// Logits are interpolated, then normalized, as in nnU-Net: a voxel is of the class with the largest probability, or of
/// every class with at least ½ if classes overlap. Unlike a [`LabelResampler`](super::LabelResampler) it needs memory
/// for all logits of the target grid, 4 bytes each.
#[derive(Debug)]
pub struct ProbabilityResampler {
    resampling: Resampling,
    grid: Grid,
    is_overlapping: bool,
    /// By channel.
    logits: Vec<Array3<f32>>,
}

impl ProbabilityResampler {
    /// A resampler from logits on `grid` to `target_grid`.
    pub fn new(grid: &Grid, target_grid: &Grid, label_schema: &LabelSchema) -> Self {
        Self::of_channels(grid, target_grid, label_schema.num_logit_channels(), label_schema.is_overlapping())
    }

    /// A resampler for one logit per mask, each with a sigmoid of its own.
    pub fn for_masks(grid: &Grid, target_grid: &Grid, count: usize) -> Self {
        Self::of_channels(grid, target_grid, count, true)
    }

    fn of_channels(grid: &Grid, target_grid: &Grid, count: usize, is_overlapping: bool) -> Self {
        // Where there are no logits, the background is certain.
        let logits_of = |channel: usize| {
            let is_background = channel == 0 && !is_overlapping;
            let logit = if is_background { 0.0 } else { f32::NEG_INFINITY };
            Array3::from_elem(target_grid.shape(), logit)
        };
        Self {
            resampling: Resampling::new(grid, target_grid),
            grid: target_grid.clone(),
            is_overlapping,
            logits: (0..count).map(logits_of).collect(),
        }
    }

    /// Keeps the logits of the voxels that a [`LabelResampler`](super::LabelResampler) decides from this slab.
    pub fn push_slab(&mut self, slab: &LogitSlab) {
        for (channel, voxels) in self.logits.iter_mut().enumerate() {
            decide(voxels.view_mut(), &LogitOf(channel), &self.resampling, slab);
        }
    }

    /// The probabilities, in the order of the classes: a softmax with the background, or a sigmoid if classes overlap.
    pub fn finish(mut self) -> Vec<Volume<f32>> {
        if self.is_overlapping {
            for logits in &mut self.logits {
                logits.par_mapv_inplace(|logit| 1.0 / (1.0 + (-logit).exp()));
            }
        } else {
            softmax(&mut self.logits);
            self.logits.remove(0);
        }
        self.logits.into_iter().map(|voxels| Volume::new(voxels, self.grid.clone())).collect()
    }
}

/// The logit of one channel as it is.
struct LogitOf(usize);

impl DecisionRule for LogitOf {
    type Voxel = f32;

    fn channels(&self) -> Range<usize> {
        self.0..self.0 + 1
    }

    fn update(&self, _: usize, logit: f32, _: &mut f32, voxel: &mut f32) {
        *voxel = logit;
    }
}

/// Normalizes over the channels.
fn softmax(channels: &mut [Array3<f32>]) {
    let mut largest = channels[0].clone();
    for logits in &channels[1..] {
        Zip::from(&mut largest).and(logits).par_for_each(|largest, logit| *largest = largest.max(*logit));
    }
    let mut sum = Array3::<f32>::zeros(largest.dim());
    for logits in &mut *channels {
        Zip::from(logits).and(&largest).and(&mut sum).par_for_each(|logit, largest, sum| {
            *logit = (*logit - largest).exp();
            *sum += *logit;
        });
    }
    for exponentials in channels {
        Zip::from(exponentials).and(&sum).par_for_each(|value, sum| *value /= sum);
    }
}
