//! The training cases of a data set, and which patch of which of them comes next.
//!
//! Where all cases label the same classes, the case is drawn first, as in nnU-Net. Where they differ, a patch of the
//! foreground is drawn by its class first and by its case then, so that a class labeled in few cases is shown as often
//! as the others.

use std::collections::{BTreeMap, BTreeSet};

use bipvl_data::CachedCase;
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::Knowledge;

/// A preprocessed case, and what it says of every concept.
#[derive(Debug)]
pub struct TrainingCase {
    /// The patches come from it.
    pub case: CachedCase,
    /// In the order of the vocabulary.
    pub knowledge: Vec<Knowledge>,
}

/// The training cases of a data set.
#[derive(Debug)]
pub struct TrainingSet {
    cases: Vec<TrainingCase>,
    /// Each class, and the places of the cases that label and show it.
    cases_of_class: Vec<(u8, Vec<usize>)>,
    is_partial: bool,
}

impl TrainingSet {
    /// Of these cases.
    pub fn new(cases: Vec<TrainingCase>) -> Self {
        let mut cases_of_class: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for (place, TrainingCase { case, knowledge }) in cases.iter().enumerate() {
            let labeled = knowledge.iter().filter_map(|knowledge| match knowledge {
                Knowledge::Labeled(classes) => Some(classes),
                Knowledge::Absent | Knowledge::Unknown => None,
            });
            let classes: BTreeSet<u8> = labeled.flatten().copied().collect();
            for class in classes.into_iter().filter(|class| case.class_locations().contains(*class)) {
                cases_of_class.entry(class).or_default().push(place);
            }
        }
        let is_partial = cases.windows(2).any(|pair| pair[0].knowledge != pair[1].knowledge);
        Self { cases, cases_of_class: cases_of_class.into_iter().collect(), is_partial }
    }

    /// How many cases.
    pub fn num_cases(&self) -> usize {
        self.cases.len()
    }

    /// A case and the first voxel of a patch of it: with probability `oversample_foreground` around a voxel of a class
    /// sampled uniformly, in a case sampled uniformly from those that label it; otherwise around a background voxel.
    ///
    /// # Panics
    ///
    /// When there is no case, or a case is smaller than the patch.
    pub fn sample_patch(
        &self,
        patch_size: [usize; 3],
        oversample_foreground: f64,
        rng: &mut ChaCha8Rng,
    ) -> (&TrainingCase, [usize; 3]) {
        if !self.is_partial {
            let case = self.cases.choose(rng).expect("a set without cases has no weight");
            let locations = case.case.class_locations();
            return (case, locations.sample_patch_origin(patch_size, oversample_foreground, rng));
        }
        if rng.random_bool(oversample_foreground)
            && let Some((class, places)) = self.cases_of_class.choose(rng)
        {
            let case = &self.cases[*places.choose(rng).expect("a class without cases is not listed")];
            return (case, case.case.class_locations().sample_patch_origin_at(*class, patch_size, rng));
        }
        let case = self.cases.choose(rng).expect("a set without cases has no weight");
        (case, case.case.class_locations().sample_patch_origin(patch_size, 0.0, rng))
    }
}
