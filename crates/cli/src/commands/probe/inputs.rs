//! The cases and texts that the flags select.

use std::collections::HashSet;

use anyhow::{Result, bail};
use bipvl::{
    data::{Case, Dataset},
    probe::match_classes,
    run::RunDir,
    text::{
        Descriptions, Synonyms,
        perturbations::{Perturbation, PerturbationContext, PerturbationSet},
    },
};

use crate::{
    args::{CasesArg, ProbeArgs},
    commands::{prompts, train::warn_of_added_cases},
};

/// The cases, and the labels of each class of the run in them.
pub(super) fn cases(
    which: CasesArg,
    run: &RunDir,
    dataset: &Dataset,
    synonyms: &Synonyms,
) -> Result<(Vec<Case>, Vec<Vec<u16>>)> {
    if which == CasesArg::Val {
        warn_of_added_cases(run, dataset)?;
        let labels = dataset.label_schema.label_sets().into_iter().map(<[u16]>::to_vec).collect();
        return Ok((run.split(dataset)?.val, labels));
    }
    let labels = match_classes(&run.config.data.label_schema.names(), dataset, synonyms)?;
    let cases: Vec<Case> = dataset.cases.iter().filter(|case| case.labels.is_some()).cloned().collect();
    if cases.is_empty() {
        bail!("{}: no case has labels", dataset.root.display());
    }
    Ok((cases, labels))
}

/// The text of the training and its perturbations.
pub(super) fn perturbed_texts(
    args: &ProbeArgs,
    run: &RunDir,
    synonyms: &Synonyms,
) -> Result<PerturbationSet> {
    let kinds = if args.perturbations.is_empty() { &Perturbation::ALL[..] } else { &args.perturbations };
    let mut paraphrases: Vec<(String, Descriptions)> = Vec::new();
    let mut names = HashSet::new();
    for file in &args.paraphrases {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !names.insert(name.clone()) {
            bail!("--paraphrases: two files are named {name}, the second is {}", file.display());
        }
        let descriptions = prompts::with_overrides(&run.model, file, synonyms)?;
        prompts::warn_of_truncation(&run.model, file, &descriptions);
        paraphrases.push((name, descriptions));
    }
    let context = PerturbationContext { seed: args.seed, kinds, paraphrases: &paraphrases, synonyms };
    Ok(PerturbationSet::new(&run.model.descriptions, &context))
}
