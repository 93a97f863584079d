//! From logits to the class or classes of a voxel, one channel after another.

use std::ops::Range;

/// Decides a voxel from its logits.
pub(super) trait DecisionRule: Sync {
    /// The decision.
    type Voxel: Copy + Default + Send + Sync;

    /// The logit channels that matter.
    fn channels(&self) -> Range<usize>;

    /// The decision after the next channel; `best` is the largest logit so far.
    fn update(&self, channel: usize, logit: f32, best: &mut f32, voxel: &mut Self::Voxel);
}

/// The label of the channel with the largest logit, the first of equal ones; background where no logit is above −∞.
#[derive(Debug)]
pub(super) struct Argmax(pub(super) Vec<u16>);

impl DecisionRule for Argmax {
    type Voxel = u16;

    fn channels(&self) -> Range<usize> {
        0..self.0.len()
    }

    fn update(&self, channel: usize, logit: f32, best: &mut f32, voxel: &mut u16) {
        let is_larger = logit > *best;
        *best = if is_larger { logit } else { *best };
        *voxel = if is_larger { self.0[channel] } else { *voxel };
    }
}

/// The set of channels with a probability of at least ½; the field is their number.
#[derive(Debug)]
pub(super) struct Threshold(pub(super) usize);

impl DecisionRule for Threshold {
    type Voxel = u32;

    fn channels(&self) -> Range<usize> {
        0..self.0
    }

    fn update(&self, channel: usize, logit: f32, _: &mut f32, voxel: &mut u32) {
        // A logit of 0 is a probability of ½.
        *voxel |= u32::from(logit >= 0.0) << channel;
    }
}

/// The number of the largest logit among those of at least 0, from 1, the first of equal ones; 0 where there is none.
/// The field is how many there are.
#[derive(Debug)]
pub(super) struct LargestPositive(pub(super) usize);

impl DecisionRule for LargestPositive {
    type Voxel = u16;

    fn channels(&self) -> Range<usize> {
        0..self.0
    }

    fn update(&self, channel: usize, logit: f32, best: &mut f32, voxel: &mut u16) {
        let is_larger = logit >= 0.0 && logit > *best;
        *best = if is_larger { logit } else { *best };
        *voxel = if is_larger { channel as u16 + 1 } else { *voxel };
    }
}

/// The decisions of a line of voxels.
pub(super) struct DecisionLine<R: DecisionRule> {
    best: Vec<f32>,
    pub(super) voxels: Vec<R::Voxel>,
}

impl<R: DecisionRule> DecisionLine<R> {
    pub(super) fn new(length: usize) -> Self {
        Self { best: vec![f32::NEG_INFINITY; length], voxels: vec![R::Voxel::default(); length] }
    }

    pub(super) fn update(&mut self, rule: &R, channel: usize, logits: impl Iterator<Item = f32>) {
        for ((best, voxel), logit) in self.best.iter_mut().zip(&mut self.voxels).zip(logits) {
            rule.update(channel, logit, best, voxel);
        }
    }
}
