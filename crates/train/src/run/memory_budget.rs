//! Fits a configuration into a memory budget.

use std::path::Path;

use bipvl_text::Tokenizer;

use super::RunSpec;
use crate::{
    Error, Result,
    budget::{Reduction, fit_to_budget},
    config::Config,
    loss::AlignmentLoss,
    memory::{MemoryEstimator, TextSize},
};
use bipvl_nn::TextShape;

/// Bytes of a gigabyte.
pub const GB: f64 = 1e9;

/// Memory for training steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryBudget {
    /// In GB (10⁹ bytes).
    pub gb: f64,
    /// Threads of the data loader, each with patches of its own.
    pub workers: usize,
}

impl MemoryBudget {
    /// The configuration of a run, reduced until a training step fits.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryBudget`] if no reduction fits, or when the configuration is invalid.
    pub fn fit(self, spec: &RunSpec) -> Result<(Config, Reduction)> {
        let (config, tokenizer) = spec.resolve()?;
        config.validate(Path::new("config.toml"))?;
        let estimator = MemoryEstimator {
            model: config.model.clone(),
            head: config.data.head_config(),
            text: text_size(spec, &config, &tokenizer),
            workers: self.workers,
        };
        let reduction =
            fit_to_budget(&estimator, config.memory_plan(), self.gb * GB).map_err(|(plan, peak)| {
                // Rounded up, so that the number can be used as a budget.
                let needed_gb = (peak / GB * 100.0).ceil() / 100.0;
                Error::MemoryBudget { budget_gb: self.gb, needed_gb, plan }
            })?;
        Ok((config.with_memory_plan(reduction.after), reduction))
    }
}

/// The lengths of the longest texts.
fn text_size(spec: &RunSpec, config: &Config, tokenizer: &Tokenizer) -> TextSize {
    let tokenizer = tokenizer.clone().with_max_tokens(config.model.text.max_position_embeddings);
    let texts = spec.all_descriptions().map(|descriptions| tokenizer.encode_classes(descriptions));
    let shapes = texts.map(|text| (text.prompts.input_ids.dim(), text.sentences.input_ids.dim()));
    let is_aligned = config.train.loss.alignment != AlignmentLoss::None;
    let empty = TextShape { num_classes: 0, tokens: 0, num_sentences: 0, sentence_tokens: 0 };
    let longest = shapes.fold(empty, |longest, ((num_classes, tokens), (sentences, length))| {
        let is_longer = sentences * length > longest.num_sentences * longest.sentence_tokens;
        let (num_sentences, sentence_tokens) = if is_longer && is_aligned {
            (sentences, length)
        } else {
            (longest.num_sentences, longest.sentence_tokens)
        };
        TextShape { num_classes, tokens: longest.tokens.max(tokens), num_sentences, sentence_tokens }
    });
    TextSize { longest, is_by_case: !spec.case_descriptions.is_empty() }
}
