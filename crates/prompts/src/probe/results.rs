//! The results of one case, each prompt used once.

use std::collections::HashMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{
    case::ProbeCase,
    mask::Mask,
    reader::{PromptReader, PromptResult},
};

/// Results by prompt.
#[derive(Debug, Default)]
pub(super) struct PromptResults {
    by_prompt: HashMap<String, PromptResult>,
}

/// Asks about one case, without the voxels of which its reference says nothing.
pub(super) struct CaseReader<'a, R> {
    reader: &'a R,
    case: &'a ProbeCase,
    ignored: Mask,
}

impl<'a, R: PromptReader> CaseReader<'a, R> {
    pub(super) fn new(reader: &'a R, case: &'a ProbeCase, ignore: u8) -> Self {
        Self { reader, case, ignored: Mask::of_labels(&case.labels, &[ignore]) }
    }

    /// What each of these prompts finds, asked together.
    pub(super) fn together(&self, prompts: &[String]) -> Vec<PromptResult> {
        let mut results = self.reader.read(self.case.image.view(), prompts);
        assert_eq!(results.len(), prompts.len(), "one result for every prompt");
        if !self.ignored.is_empty() {
            for result in &mut results {
                result.mask = result.mask.without(&self.ignored);
            }
        }
        results
    }

    /// What all these prompts find, asked in random groups of `at_once`.
    pub(super) fn in_groups<'p>(
        &self,
        prompts: impl Iterator<Item = &'p String>,
        at_once: usize,
        rng: &mut ChaCha8Rng,
    ) -> PromptResults {
        let mut different: Vec<String> = prompts.cloned().collect();
        different.sort_unstable();
        different.dedup();
        different.shuffle(rng);
        let mut by_prompt = HashMap::with_capacity(different.len());
        for group in different.chunks(at_once.max(1)) {
            by_prompt.extend(group.iter().cloned().zip(self.together(group)));
        }
        PromptResults { by_prompt }
    }
}

impl PromptResults {
    /// The result to a prompt that was asked.
    pub(super) fn get(&self, prompt: &str) -> &PromptResult {
        &self.by_prompt[prompt]
    }
}
