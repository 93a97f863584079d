//! Sampling of the prompts of a training patch and of their wording.
//!
//! Two thirds name what the patch shows, rare concepts first; the others name what is labeled and not in the patch,
//! half of them hard (the other side, a part of the same whole). "Absent" means absent from the patch, since that is
//! what the sliding window will ask. A share of all prompts are unions, and a tenth are nonsense or of another world.

use bipvl_text::prompts::{PromptConfig, mirror_text, sample_negative};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    loss::MIN_PRESENT_VOXELS,
    vocabulary::{Knowledge, Vocabulary},
};

/// How prompts are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PromptSampling {
    /// Prompts of a sample at most; a step draws 1, 2, 3, 4 … up to this.
    pub per_step: usize,
    /// Share of prompts for what the patch does not show.
    pub absent: f64,
    /// Share of prompts that are nonsense or of another world.
    pub nonsense: f64,
    /// Share of unions among all others, where there are any.
    pub unions: f64,
    /// How often a patch is mirrored left to right, with its texts.
    pub mirror: f64,
    /// Concepts that are never prompted by their own name, only within unions: for a held-out test.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held_out: Vec<String>,
    /// A control: every text is replaced by a random string of its own, so that names can be learned and words cannot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub code_book: bool,
    /// In which words.
    pub text: PromptConfig,
}

impl Default for PromptSampling {
    fn default() -> Self {
        Self {
            per_step: 6,
            absent: 0.33,
            nonsense: 0.1,
            unions: 0.4,
            mirror: 0.0,
            held_out: Vec::new(),
            code_book: false,
            text: PromptConfig::default(),
        }
    }
}

/// One prompt of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnPrompt {
    /// Its words.
    pub text: String,
    /// What it names; none for nonsense.
    pub concept: Option<usize>,
    /// The class indices of its mask; none where it is absent.
    pub labels: Vec<u8>,
}

/// Draws prompts for patches of one vocabulary.
#[derive(Debug)]
pub struct PromptSampler {
    vocabulary: Vocabulary,
    hard_negatives: Vec<Vec<usize>>,
    is_held_out: Vec<bool>,
    sampling: PromptSampling,
}

impl PromptSampler {
    /// For these concepts.
    pub fn new(vocabulary: Vocabulary, sampling: PromptSampling) -> Self {
        let hard_negatives = vocabulary.hard_negatives();
        let is_held_out =
            vocabulary.concepts.iter().map(|concept| sampling.held_out.contains(&concept.name)).collect();
        Self { vocabulary, hard_negatives, is_held_out, sampling }
    }

    /// The concepts.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether a concept is never prompted by its own name.
    pub fn is_held_out(&self, concept: usize) -> bool {
        self.is_held_out[concept]
    }

    /// How many prompts every sample of a step gets: one in 15 % of the steps, else 2 to `per_step` alike.
    pub fn num_prompts(&self, rng: &mut ChaCha8Rng) -> usize {
        let most = self.sampling.per_step;
        if most < 2 || rng.random_bool(0.15) { 1 } else { rng.random_range(2..=most) }
    }

    /// Whether the next sample is mirrored left to right.
    pub fn is_mirrored(&self, rng: &mut ChaCha8Rng) -> bool {
        rng.random_bool(self.sampling.mirror)
    }

    /// `count` prompts for a patch.
    ///
    /// `knowledge` is what the case says of each concept, `voxels` counts each class index in the patch, and `is_mirrored`
    /// says that left and right are exchanged in it, and so in all texts.
    pub fn draw(
        &self,
        knowledge: &[Knowledge],
        voxels: &[u32; 256],
        count: usize,
        is_mirrored: bool,
        rng: &mut ChaCha8Rng,
    ) -> Vec<DrawnPrompt> {
        let shown = |labels: &[u8]| labels.iter().map(|label| voxels[usize::from(*label)]).sum::<u32>();
        let mut present: Vec<(usize, &[u8])> = Vec::new();
        let mut absent: Vec<(usize, &[u8])> = Vec::new();
        for (concept, knowledge) in knowledge.iter().enumerate() {
            if self.is_held_out[concept] {
                continue;
            }
            match knowledge {
                Knowledge::Labeled(labels) if shown(labels) >= MIN_PRESENT_VOXELS => {
                    present.push((concept, labels));
                }
                Knowledge::Labeled(labels) if shown(labels) == 0 => absent.push((concept, labels)),
                Knowledge::Absent => absent.push((concept, &[])),
                Knowledge::Labeled(_) | Knowledge::Unknown => {}
            }
        }
        let mut drawn: Vec<DrawnPrompt> = Vec::with_capacity(count);
        while drawn.len() < count {
            drawn.push(self.draw_one(&present, &absent, &drawn, is_mirrored, rng));
        }
        drawn
    }

    fn draw_one(
        &self,
        present: &[(usize, &[u8])],
        absent: &[(usize, &[u8])],
        before: &[DrawnPrompt],
        is_mirrored: bool,
        rng: &mut ChaCha8Rng,
    ) -> DrawnPrompt {
        if rng.random_bool(self.sampling.nonsense) || (present.is_empty() && absent.is_empty()) {
            return DrawnPrompt { text: self.negative(rng), concept: None, labels: Vec::new() };
        }
        let wants_absent = rng.random_bool(self.sampling.absent);
        let (concept, labels) = if (wants_absent && !absent.is_empty()) || present.is_empty() {
            self.draw_absent(present, absent, rng)
        } else {
            self.draw_present(present, before, rng)
        };
        let text = self.vocabulary.concepts[concept].texts.sample(&self.sampling.text, rng);
        let text = if is_mirrored { mirror_text(&text) } else { text };
        DrawnPrompt { text, concept: Some(concept), labels: labels.to_vec() }
    }

    /// A concept of the patch, one that was not drawn before where there is one; a union with its share.
    fn draw_present<'a>(
        &self,
        present: &[(usize, &'a [u8])],
        before: &[DrawnPrompt],
        rng: &mut ChaCha8Rng,
    ) -> (usize, &'a [u8]) {
        let is_new = |concept: usize| before.iter().all(|drawn| drawn.concept != Some(concept));
        let wants_union = rng.random_bool(self.sampling.unions);
        let fits = |(concept, _): &(usize, &[u8])| {
            self.vocabulary.concepts[*concept].parts.is_empty() != wants_union && is_new(*concept)
        };
        let fitting: Vec<(usize, &[u8])> = present.iter().copied().filter(fits).collect();
        let drawn = fitting.choose(rng).or_else(|| present.choose(rng));
        *drawn.expect("the caller has seen that something is present")
    }

    /// A concept that the patch does not show: in half of the cases one that is easily taken for one it shows.
    fn draw_absent<'a>(
        &self,
        present: &[(usize, &'a [u8])],
        absent: &[(usize, &'a [u8])],
        rng: &mut ChaCha8Rng,
    ) -> (usize, &'a [u8]) {
        let hard: Vec<(usize, &[u8])> = absent
            .iter()
            .copied()
            .filter(|(concept, _)| {
                present.iter().any(|(shown, _)| self.hard_negatives[*shown].contains(concept))
            })
            .collect();
        let wants_hard = rng.random_bool(0.5);
        let wants_union = rng.random_bool(self.sampling.unions);
        let is_union = |(concept, _): &&(usize, &[u8])| {
            self.vocabulary.concepts[*concept].parts.is_empty() != wants_union
        };
        if wants_hard && let Some(drawn) = hard.choose(rng) {
            return *drawn;
        }
        let of_kind: Vec<(usize, &[u8])> = absent.iter().filter(is_union).copied().collect();
        let drawn = of_kind.choose(rng).or_else(|| absent.choose(rng));
        *drawn.expect("the caller has seen that something is absent")
    }

    /// Pseudowords, or an unrelated phrase that is none of the concepts.
    fn negative(&self, rng: &mut ChaCha8Rng) -> String {
        loop {
            let phrase = sample_negative(false, rng);
            if self.vocabulary.find(&phrase).is_none() {
                return phrase;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::{Concept, PromptTexts};

    fn sampler(sampling: PromptSampling) -> PromptSampler {
        let concept = |name: &str| Concept {
            name: name.to_owned(),
            parts: Vec::new(),
            contralateral: None,
            texts: PromptTexts::from_names(vec![name.to_owned()]),
            sets: Vec::new(),
        };
        let concepts = ["shown", "elsewhere", "unknown", "held out"].map(concept).into();
        PromptSampler::new(Vocabulary { sets: Vec::new(), concepts }, sampling)
    }

    fn draw(sampling: PromptSampling) -> Vec<DrawnPrompt> {
        let labeled = |label| Knowledge::Labeled(vec![label]);
        let knowledge = [labeled(1), labeled(2), Knowledge::Unknown, labeled(4)];
        let mut voxels = [0; 256];
        voxels[1] = 100;
        voxels[3] = 100;
        voxels[4] = 100;
        sampler(sampling).draw(&knowledge, &voxels, 500, false, &mut ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn unknown_and_held_out_concepts_are_never_drawn() {
        let drawn =
            draw(PromptSampling { held_out: vec!["held out".to_owned()], ..PromptSampling::default() });
        assert!(drawn.iter().all(|prompt| prompt.concept.is_none_or(|concept| concept < 2)));
        let count = |concept| drawn.iter().filter(|prompt| prompt.concept == concept).count();
        // 500 draws: a tenth nonsense, of the others a third absent; four standard deviations.
        assert!(count(None).abs_diff(50) < 27 && count(Some(1)).abs_diff(149) < 41, "{}", count(Some(1)));
    }

    #[test]
    fn sides_are_exchanged_in_the_prompts_of_a_mirrored_patch() {
        let concept = Concept {
            name: "left kidney".to_owned(),
            parts: Vec::new(),
            contralateral: None,
            texts: PromptTexts::from_names(vec!["left kidney".to_owned()]),
            sets: Vec::new(),
        };
        let vocabulary = Vocabulary { sets: Vec::new(), concepts: vec![concept] };
        let sampling = PromptSampling { nonsense: 0.0, ..PromptSampling::default() };
        let mut voxels = [0; 256];
        voxels[1] = 100;
        let sampler = PromptSampler::new(vocabulary, sampling);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn = sampler.draw(&[Knowledge::Labeled(vec![1])], &voxels, 3, true, &mut rng);
        assert!(
            drawn.iter().all(|prompt| prompt.text == "right kidney" && prompt.labels == [1]),
            "{drawn:?}"
        );
    }
}
