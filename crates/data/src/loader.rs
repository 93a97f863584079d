//! Prefetches training samples in background threads; the samples of a step depend on seed and step alone.

use std::{ops::Range, sync::Arc};

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{AugmentConfig, Augmentation, CachedCase, Prefetch, Sample};

/// Settings of a [`Loader`].
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Patch size in voxels.
    pub patch_size: [usize; 3],
    /// Samples per step.
    pub batch_size: usize,
    /// Those of them that are made, if not all: the share of one of several processes.
    pub share: Option<Range<usize>>,
    /// Threads; the samples do not depend on their number.
    pub workers: usize,
    /// Random seed.
    pub seed: u64,
    /// Fraction of patches centered on foreground.
    pub oversample_foreground: f64,
    /// Data augmentation.
    pub augment: AugmentConfig,
}

/// An endless iterator over steps and their samples, in order.
///
/// Every epoch visits all cases in a new random order.
pub type Loader = Prefetch<Vec<Sample>>;

impl Loader {
    /// Starts the threads; the first samples are those of `first_step`.
    ///
    /// # Panics
    ///
    /// When there is no case or the batch is empty.
    pub fn of_cases(cases: Arc<Vec<CachedCase>>, config: LoaderConfig, first_step: usize) -> Self {
        assert!(!cases.is_empty(), "a loader needs at least one case");
        assert!(config.batch_size > 0, "a batch has at least one sample");
        Self::new(config.workers, first_step, move |step| {
            let share = config.share.clone().unwrap_or(0..config.batch_size);
            share.map(|index| sample(&cases, &config, step, index)).collect()
        })
    }
}

fn sample(cases: &[CachedCase], config: &LoaderConfig, step: usize, index: usize) -> Sample {
    let case = &cases[case_at(step * config.batch_size + index, cases.len(), config.seed)];
    let mut rng = generator(config.seed, [step as u64, index as u64, 1]);
    let start =
        case.class_locations().sample_patch_origin(config.patch_size, config.oversample_foreground, &mut rng);
    Augmentation::sample(&config.augment, &mut rng).crop(case, start, config.patch_size)
}

/// The case of the `position`-th sample of the run.
fn case_at(position: usize, num_cases: usize, seed: u64) -> usize {
    let epoch = position / num_cases;
    let mut order: Vec<usize> = (0..num_cases).collect();
    order.shuffle(&mut generator(seed, [epoch as u64, 0, 0]));
    order[position % num_cases]
}

/// An independent generator for every position in the run.
fn generator(seed: u64, position: [u64; 3]) -> impl Rng {
    let mut bytes = [0; 32];
    for (chunk, number) in bytes.chunks_exact_mut(8).zip([seed, position[0], position[1], position[2]]) {
        chunk.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}
