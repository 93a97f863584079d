//! The answers about one case, each prompt asked once.

use std::collections::HashMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{
    case::ProbeCase,
    mask::Mask,
    reader::{Answer, PromptReader},
};

/// Answers by prompt.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_prompt: HashMap<String, Answer>,
}

/// Asks about one case, without the voxels of which its reference says nothing.
pub(super) struct Asker<'a, R> {
    reader: &'a R,
    case: &'a ProbeCase,
    ignored: Mask,
}

impl<'a, R: PromptReader> Asker<'a, R> {
    pub(super) fn new(reader: &'a R, case: &'a ProbeCase, ignore: u8) -> Self {
        Self { reader, case, ignored: Mask::of_labels(&case.labels, &[ignore]) }
    }

    /// What each of these prompts finds, asked together.
    pub(super) fn together(&self, prompts: &[String]) -> Vec<Answer> {
        let mut answers = self.reader.read(self.case.image.view(), prompts);
        assert_eq!(answers.len(), prompts.len(), "a reader answers every prompt");
        if !self.ignored.is_empty() {
            for answer in &mut answers {
                answer.mask = answer.mask.without(&self.ignored);
            }
        }
        answers
    }

    /// What all these prompts find, asked in random groups of `at_once`.
    pub(super) fn in_groups<'p>(
        &self,
        prompts: impl Iterator<Item = &'p String>,
        at_once: usize,
        rng: &mut ChaCha8Rng,
    ) -> Answers {
        let mut different: Vec<String> = prompts.cloned().collect();
        different.sort_unstable();
        different.dedup();
        different.shuffle(rng);
        let mut by_prompt = HashMap::with_capacity(different.len());
        for group in different.chunks(at_once.max(1)) {
            by_prompt.extend(group.iter().cloned().zip(self.together(group)));
        }
        Answers { by_prompt }
    }
}

impl Answers {
    /// The answer to a prompt that was asked.
    pub(super) fn get(&self, prompt: &str) -> &Answer {
        &self.by_prompt[prompt]
    }
}
