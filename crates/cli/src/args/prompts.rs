//! Flags of prompted runs: `predict --prompt` and `vocabulary`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct PromptArgs {
    /// What to segment, in words, such as "left kidney"; repeatable. For runs with `model.head = "prompts"`, which
    /// without prompts segment everything that they were trained on.
    #[arg(long = "prompt", value_name = "TEXT")]
    pub(crate) prompts: Vec<String>,
    /// Prompts in a text file, one per line; lines that begin with # are skipped.
    #[arg(long = "prompts", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Let every voxel belong to one prompt only, that with the largest logit. Otherwise every prompt decides for
    /// itself, and of overlapping masks the later prompt wins in the label map.
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// Preprocess scans as this data set of the training [default: required where its data sets differ].
    #[arg(long, value_name = "NAME")]
    pub(crate) like: Option<String>,
}

impl PromptArgs {
    /// Whether any of the flags was given.
    pub(crate) fn is_used(&self) -> bool {
        !self.prompts.is_empty() || self.file.is_some() || self.exclusive || self.like.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct VocabularyArgs {
    /// Folder of a run with `model.head = "prompts"`.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
