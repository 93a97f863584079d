//! Descriptions that a user gives to a trained model.

use std::path::Path;

use anyhow::Result;
use bipvl::{
    infer::TrainedModel,
    text::{Descriptions, Synonyms},
};

/// The built-in synonyms, and those of a file.
pub(crate) fn synonyms(file: Option<&Path>) -> Result<Synonyms> {
    Ok(file.map_or_else(|| Ok(Synonyms::builtin()), Synonyms::with_file)?)
}

/// The descriptions of the model, with those of a file for the classes that it describes.
pub(crate) fn with_overrides(model: &TrainedModel, file: &Path, synonyms: &Synonyms) -> Result<Descriptions> {
    let overrides = Descriptions::read(file)?;
    Ok(model.descriptions.override_with(file, &overrides, synonyms)?)
}

/// Warns of prompts that are longer than the text encoder reads; `source` is where they come from.
pub(crate) fn warn_of_truncation(model: &TrainedModel, source: &Path, descriptions: &Descriptions) {
    for truncated in model.tokenizer().truncated_classes(descriptions) {
        tracing::warn!(
            "{}: the prompt of \"{}\" has {} tokens, of which the first {} are used",
            source.display(),
            truncated.class,
            truncated.tokens,
            truncated.max_tokens
        );
    }
}
