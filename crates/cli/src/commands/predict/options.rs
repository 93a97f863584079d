//! The predictor that the flags of `bipvl predict` describe.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bipvl::{
    infer::{InferConfig, Predictor, TrainedModel},
    text::{Description, Synonyms},
};

use crate::{args::PredictArgs, commands::prompts};

/// The label of voxels of no class.
const BACKGROUND: u16 = 0;

/// The sliding window of the flags, else of the run.
pub(super) fn with_window(args: &PredictArgs, mut config: InferConfig) -> Result<InferConfig> {
    config.overlap = args.overlap.unwrap_or(config.overlap);
    config.blend_mode = args.blend_mode.map_or(config.blend_mode, Into::into);
    if !(0.0..1.0).contains(&config.overlap) {
        bail!("--overlap must be at least 0 and below 1, not {}", config.overlap);
    }
    Ok(config)
}

/// Inference settings of the first run, overridden by flags.
pub(super) fn infer_config(args: &PredictArgs, runs: &[TrainedModel]) -> Result<InferConfig> {
    let mut config = with_window(args, runs[0].config.infer)?;
    config.tta_mirror_axes = args.tta_mirror_axes.unwrap_or(config.tta_mirror_axes);
    config.keep_largest_component = args.keep_largest_component.unwrap_or(config.keep_largest_component);
    config.skip_constant_patches = !args.no_skip_constant_patches;
    for run in runs {
        run.config.validate_mirroring(config.tta_mirror_axes).context("--tta-mirror-axes")?;
        run.config
            .validate_keep_largest_component(config.keep_largest_component)
            .context("--keep-largest-component")?;
    }
    let never_flipped = |axis: usize| runs.iter().any(|run| !run.config.trained_with_flips()[axis]);
    let axes = config.tta_mirror_axes.axis_names(never_flipped);
    if !axes.is_empty() {
        tracing::warn!(
            "--tta-mirror-axes: the model was trained without flips along {axes}; check that mirroring improves Dice"
        );
    }
    Ok(config)
}

/// The labels to write, by class: 0 for a class that `--classes` does not select.
pub(super) fn output_labels(
    args: &PredictArgs,
    run: &TrainedModel,
    synonyms: &Synonyms,
) -> Result<Option<Vec<u16>>> {
    if args.classes.is_empty() {
        return Ok(None);
    }
    let chosen: Vec<String> = args.classes.iter().flat_map(|list| list.0.iter().cloned()).collect();
    let labels = run.output_labels(&chosen, synonyms).context("--classes")?;
    let classes = run.config.data.label_schema.names();
    let selected = classes.iter().zip(&labels).filter(|(_, label)| **label != BACKGROUND);
    let selected: Vec<&str> = selected.map(|(class, _)| class.as_str()).collect();
    tracing::info!("writing only {}", selected.join(", "));
    Ok(Some(labels))
}

/// The classes that are written, given the labels of [`output_labels`].
pub(super) fn output_classes<'a>(run: &'a TrainedModel, labels: Option<&[u16]>) -> Vec<&'a str> {
    let is_written = |index: usize| labels.is_none_or(|labels| labels[index] != BACKGROUND);
    let classes = run.config.data.label_schema.classes().iter().enumerate();
    classes.filter(|(index, _)| is_written(*index)).map(|(_, class)| class.name.as_str()).collect()
}

/// The predictor with the descriptions of `--descriptions`.
pub(super) fn with_descriptions(
    predictor: Predictor,
    file: &Path,
    runs: &[TrainedModel],
    synonyms: &Synonyms,
) -> Result<Predictor> {
    let run = &runs[0];
    let descriptions = prompts::with_overrides(run, file, synonyms)?;
    let is_new = |class: &&Description| !run.descriptions.classes.contains(class);
    let new = descriptions.classes.iter().filter(is_new).map(|class| class.class.as_str());
    let new = new.collect::<Vec<_>>().join(", ");
    if new.is_empty() {
        tracing::info!("{}: the same descriptions as in training", file.display());
    } else {
        tracing::info!("{}: new descriptions for {new}", file.display());
    }
    prompts::warn_of_truncation(run, file, &descriptions);
    let texts: Vec<String> = descriptions.classes.iter().map(Description::prompt).collect();
    let tokens: Vec<_> = runs.iter().map(|run| run.tokenize(&texts)).collect();
    Ok(predictor.with_prompts(&tokens))
}
