//! Text that a user gives to a trained run.

use std::path::Path;

use anyhow::Result;
use bipvl::{
    run::RunDir,
    text::{Descriptions, Synonyms},
};

/// The names that mean the same organ: built in, and those of a file.
pub(crate) fn synonyms(file: Option<&Path>) -> Result<Synonyms> {
    Ok(file.map_or_else(|| Ok(Synonyms::builtin()), Synonyms::with_file)?)
}

/// The run's descriptions with those of a file in the place of the classes that it describes.
pub(crate) fn replaced(run: &RunDir, file: &Path, synonyms: &Synonyms) -> Result<Descriptions> {
    let others = Descriptions::read(file)?;
    Ok(run.descriptions.override_with(file, &others, synonyms)?)
}

/// Tells of texts that the network does not read to the end.
pub(crate) fn warn_of_cuts(run: &RunDir, file: &Path, descriptions: &Descriptions) {
    for description in &descriptions.classes {
        if run.count_truncated(&[description.prompt()]) > 0 {
            let longest = run.config.model.text.max_position_embeddings;
            let class = &description.class;
            tracing::warn!(
                "{}: {class}: only the first {longest} tokens of its text are read",
                file.display()
            );
        }
    }
}
