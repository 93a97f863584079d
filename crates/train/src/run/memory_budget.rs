//! A configuration that fits into a memory budget.

use std::path::Path;

use super::with_sizes;
use crate::config::Config;
use crate::{Error, Result};
use crate::{
    activation_checkpointing::ActivationCheckpointing,
    budget::{Reduction, fit_to_budget},
    loss::{AlignmentLoss, LossConfig},
    memory::{MemoryEstimator, MemoryPlan, TextSize},
};
use bipvl_nn::{TextConfig, TextShape, interop::PretrainedWeights};
use bipvl_text::{Descriptions, Tokenizer};

/// Bytes of a gigabyte.
pub const GB: f64 = 1e9;

/// The configuration with the patch, the batches and the recomputation that fit into `budget_gb` for these
/// descriptions and weights (as for [`super::RunDir::create`]) and so many `workers` that cut patches, and what was
/// chosen. `flag` is named in messages.
///
/// # Errors
///
/// When nothing fits; the message names the smallest need.
pub fn within_budget(
    config: Config,
    descriptions: &Descriptions,
    of_cases: &[Descriptions],
    imported: &[PretrainedWeights],
    (budget_gb, workers, flag): (f64, usize, &Path),
) -> Result<(Config, Reduction)> {
    let (config, tokenizer) = with_sizes(config, descriptions, of_cases, imported)?;
    config.check(Path::new("config.toml"))?;
    let text = text_size(&config.model.text, config.train.loss, &tokenizer, descriptions, of_cases);
    let classes = config.data.head_config();
    let demand = MemoryEstimator { model: config.model.clone(), classes, text, workers };
    let reduction =
        fit_to_budget(&demand, config.memory_plan(), budget_gb * GB).map_err(|(plan, peak)| {
            let MemoryPlan { patch_size: [x, y, z], batch_size, .. } = plan;
            let again = if plan.activation_checkpointing == ActivationCheckpointing::Blocks {
                " and activation_checkpointing = \"blocks\""
            } else {
                ""
            };
            // Rounded up, so that the number can be given.
            let expected = format!(
                "at least {:.2} (GB), for patches of {x} × {y} × {z} voxels, batches of {batch_size}{again}",
                (peak / GB * 100.0).ceil() / 100.0
            );
            Error::content(flag, expected, budget_gb.to_string())
        })?;
    Ok((config.with_memory_plan(reduction.after), reduction))
}

/// Lengths of the longest texts of all.
fn text_size(
    config: &TextConfig,
    loss: LossConfig,
    tokenizer: &Tokenizer,
    descriptions: &Descriptions,
    of_cases: &[Descriptions],
) -> TextSize {
    let tokenizer = tokenizer.clone().with_max_tokens(config.max_position_embeddings);
    let texts = std::iter::once(descriptions).chain(of_cases).map(|text| tokenizer.encode_classes(text));
    let shapes = texts.map(|text| (text.full.ids.dim(), text.concepts.ids.dim()));
    let empty = TextShape { num_classes: 0, tokens: 0, num_sentences: 0, sentence_tokens: 0 };
    let longest = shapes.fold(empty, |longest, ((classes, tokens), (sentences, length))| {
        let is_longer = sentences * length > longest.num_sentences * longest.sentence_tokens;
        let has_alignment = loss.alignment != AlignmentLoss::None;
        let (num_sentences, sentence_tokens) = if is_longer && has_alignment {
            (sentences, length)
        } else {
            (longest.num_sentences, longest.sentence_tokens)
        };
        let tokens = longest.tokens.max(tokens);
        TextShape { num_classes: classes, tokens, num_sentences, sentence_tokens }
    });
    TextSize { longest, is_by_case: !of_cases.is_empty() }
}
