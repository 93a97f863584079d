//! Cuts the patches of coming steps and draws their prompts in the background.
//!
//! A step depends on seed and step alone. Data sets are drawn with a probability proportional to the square root of their
//! cases, so that a small set is seen and a large one is not drowned (as SAT and `MultiTalent` do).

use std::{ops::Range, sync::Arc};

use bipvl_data::{AugmentConfig, Augmentation, COORDINATE_CHANNELS, Prefetch, Sample};
use bipvl_text::prompts::mirror_text;
use ndarray::{Axis, Slice};
use rand::{SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    batch::PromptSample,
    sampler::{DrawnPrompt, PromptSampler},
    training_set::{TrainingCase, TrainingSet},
};

/// Sentences of a prompt at most, its title counted.
const MAX_SENTENCES: usize = 6;

/// What every step draws from.
#[derive(Debug)]
pub struct PromptSource {
    /// The data sets.
    pub sets: Vec<TrainingSet>,
    /// Draws the prompts.
    pub sampler: PromptSampler,
    /// Voxels of a patch.
    pub patch_size: [usize; 3],
    /// Those samples of a step that this process makes.
    pub samples: Range<usize>,
    /// The share of patches centered on a labeled class.
    pub oversample_foreground: f64,
    /// How patches are varied.
    pub augment: AugmentConfig,
    /// Whether images get the channels of their coordinates.
    pub coordinates: bool,
    /// Random seed.
    pub seed: u64,
}

/// The samples of every step from `first_step` on, made ahead of time by `workers` threads.
pub fn prompt_loader(
    source: Arc<PromptSource>,
    workers: usize,
    first_step: usize,
) -> Prefetch<Vec<PromptSample>> {
    Prefetch::new(workers, first_step, move |step| source.samples(step))
}

impl PromptSource {
    /// The samples of a step; all have equally many prompts.
    pub fn samples(&self, step: usize) -> Vec<PromptSample> {
        let num_prompts = self.sampler.num_prompts(&mut self.generator(step, usize::MAX));
        self.samples.clone().map(|index| self.sample(step, index, num_prompts)).collect()
    }

    fn sample(&self, step: usize, index: usize, num_prompts: usize) -> PromptSample {
        let mut rng = self.generator(step, index);
        let weight = |set: &TrainingSet| (set.num_cases() as f64).sqrt();
        let set = self.sets.choose_weighted(&mut rng, weight).expect("some set has cases");
        let (TrainingCase { case, knowledge }, origin) =
            set.sample_patch(self.patch_size, self.oversample_foreground, &mut rng);
        let augmentation = Augmentation::sample(&self.augment, &mut rng);
        let mut sample = augmentation.crop(case, origin, self.patch_size);
        if self.coordinates {
            let coordinates = augmentation.coordinates(origin, self.patch_size, case.grid().shape());
            sample.image.append(Axis(0), coordinates.view()).expect("the shapes of the patch are equal");
        }
        let is_mirrored = self.sampler.is_mirrored(&mut rng);
        if is_mirrored {
            mirror(&mut sample, self.coordinates);
        }
        let mut voxels = [0; 256];
        sample.labels.iter().for_each(|label| voxels[usize::from(*label)] += 1);
        let prompts = self.sampler.draw(knowledge, &voxels, num_prompts, is_mirrored, &mut rng);
        let sentences = prompts.iter().map(|prompt| self.sentences(prompt, is_mirrored)).collect();
        PromptSample { image: sample.image, labels: sample.labels, prompts, sentences }
    }

    /// The sentences of the prompt's description, or its own words.
    fn sentences(&self, prompt: &DrawnPrompt, is_mirrored: bool) -> Vec<String> {
        let sentences = prompt.concept.map(|concept| {
            self.sampler.vocabulary().concepts[concept].texts.sentences.iter().take(MAX_SENTENCES)
        });
        let sentences: Vec<String> = sentences
            .into_iter()
            .flatten()
            .map(|sentence| if is_mirrored { mirror_text(sentence) } else { sentence.clone() })
            .collect();
        if sentences.is_empty() { vec![prompt.text.clone()] } else { sentences }
    }

    fn generator(&self, step: usize, index: usize) -> ChaCha8Rng {
        let mut seed = [0; 32];
        for (chunk, number) in seed.chunks_exact_mut(8).zip([self.seed, step as u64, index as u64, 2]) {
            chunk.copy_from_slice(&number.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }
}

/// Exchanges left and right, in the first of three coordinates too.
fn mirror(sample: &mut Sample, with_coordinates: bool) {
    if with_coordinates {
        let first = sample.image.dim().0 - COORDINATE_CHANNELS;
        sample.image.index_axis_mut(Axis(0), first).mapv_inplace(|coordinate| -coordinate);
    }
    sample.image.slice_axis_inplace(Axis(1), Slice::new(0, None, -1));
    sample.labels.slice_axis_inplace(Axis(0), Slice::new(0, None, -1));
}
