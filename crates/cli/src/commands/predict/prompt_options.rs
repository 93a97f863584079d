//! What the flags of `bipvl predict` ask of a prompted run.

use anyhow::{Context, Result, bail};
use bipvl::{
    data::PreprocessConfig,
    device::Precision,
    prompts::{
        PromptPredictor, PromptRun,
        reading::{check_prompts, read_prompts, unseen_words},
    },
};

use crate::args::PredictArgs;

/// Refuses what a prompted run does not have.
pub(super) fn refuse_other_flags(args: &PredictArgs) -> Result<()> {
    let given = [
        ("--classes", !args.classes.is_empty()),
        ("--descriptions", args.descriptions.is_some()),
        ("--case-descriptions", args.case_descriptions.is_some()),
        ("--tta-mirror-axes", args.tta_mirror_axes.is_some()),
        ("--keep-largest-component", args.keep_largest_component.is_some()),
        ("--synonyms", args.synonyms.is_some()),
        ("--no-skip-constant-patches", args.no_skip_constant_patches),
        ("--precision", args.precision != Precision::Float32),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            bail!("{flag} is for runs with model.head = \"channels\"; this run is asked with --prompt")
        }
        None => Ok(()),
    }
}

/// The prompts of the flags, else the names of all that the run was trained on.
pub(super) fn texts(args: &PredictArgs, run: &PromptRun) -> Result<Vec<String>> {
    let mut texts = args.prompts.prompts.clone();
    if let Some(file) = &args.prompts.file {
        texts.extend(read_prompts(file)?);
    }
    if texts.is_empty() && args.prompts.file.is_none() {
        texts = run.default_prompts();
    }
    check_prompts(&texts)?;
    Ok(texts)
}

/// The preprocessing of `--like`, or the only one there is.
pub(super) fn preprocess(args: &PredictArgs, run: &PromptRun) -> Result<PreprocessConfig> {
    Ok(run.preprocess_like(args.prompts.like.as_deref()).context("--like")?.clone())
}

/// Warns of prompts that are too long, or have words of no training text.
pub(super) fn warn_of_texts(run: &PromptRun, predictor: &PromptPredictor, texts: &[String]) {
    for prompt in predictor.truncated(texts) {
        let prompt: String = prompt.chars().take(60).collect();
        tracing::warn!("`{prompt}…` is longer than the text encoder reads; its end is left out");
    }
    if run.config.pretrained.text_encoder.is_some() {
        return;
    }
    for prompt in texts {
        let unseen = unseen_words(&run.vocabulary, prompt);
        if !unseen.is_empty() {
            tracing::warn!("`{prompt}`: no training text has the word {}", unseen.join(", "));
        }
    }
}
