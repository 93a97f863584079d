//! Segments the cases of a probe with every perturbation of their texts.

use std::path::Path;

use anyhow::Result;
use bipvl::{
    data::{Case, Dataset, file_fingerprint},
    infer::Predictor,
    probe::{ProbeProgress, PromptResult, ResultCache, TextSensitivity, TextSensitivityInput},
    run::RunDir,
    text::perturbations::PerturbationSet,
};

use crate::{interrupt, progress};

/// What is compared on which cases.
pub(super) struct Probe<'a> {
    pub(super) run: &'a RunDir,
    pub(super) dataset: &'a Dataset,
    pub(super) cases: Vec<Case>,
    /// The labels of each class of the run in the references.
    pub(super) labels: Vec<Vec<u16>>,
    pub(super) perturbed: PerturbationSet,
}

impl Probe<'_> {
    /// The results of all cases, `[cases][perturbations]`.
    pub(super) fn evaluate(&self, predictor: &Predictor, out: &Path) -> Result<Vec<Vec<PromptResult>>> {
        let Self { run, dataset, cases, labels, perturbed } = self;
        let mut cache = ResultCache::open(&out.join("results.jsonl"))?;
        let tokens: Vec<_> = perturbed.texts.iter().map(|text| run.model.tokenize(&text.texts)).collect();
        let weights = file_fingerprint(&run.model.best_checkpoint())?;
        let sensitivity = TextSensitivity::new(TextSensitivityInput {
            predictor,
            labels,
            remap: dataset.label_schema.remap(),
            variants: &perturbed.texts,
            tokens: &tokens,
            fingerprint: format!("{weights}{}", run.config.to_toml()),
        });
        let prompts = perturbed.texts.len();
        let bar = progress::bar("probing", cases.len() * prompts);
        let results = sensitivity.evaluate_all(cases, &mut cache, &mut |index, progress| {
            bar.set_message(cases[index].id.clone());
            match progress {
                ProbeProgress::Prompt => bar.inc(1),
                // Cases with cached results are skipped.
                ProbeProgress::Patch(_) => bar.set_position(bar.position().max((index * prompts) as u64)),
            }
            interrupt::poll()
        })?;
        bar.finish_and_clear();
        Ok(results)
    }
}
