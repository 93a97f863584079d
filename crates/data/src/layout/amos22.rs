//! AMOS22 (Ji et al., arXiv 2206.08023): the `dataset.json` of the Decathlon, with CT and MR in one folder. The labeled
//! `validation` list is the test set, since the labels of the challenge's test set are not public.

use std::path::Path;

use super::{Case, DatasetIndex, choose, dataset_json::DatasetJson};
use crate::{Modality, Result};

/// The prefix of every id; a number follows.
const PREFIX: &str = "amos_";
/// CT cases are numbered from 1, MR cases from here.
const FIRST_MR: u32 = 500;

pub(super) fn is_described_by(manifest: &DatasetJson) -> bool {
    let is_amos = |cases: Vec<Case>| !cases.is_empty() && cases.iter().all(|case| modality(case).is_some());
    manifest.has("modality") && manifest.pairs("training").is_ok_and(is_amos)
}

pub(super) fn list(root: &Path, requested: Option<Modality>) -> Result<DatasetIndex> {
    let manifest = DatasetJson::read(&root.join("dataset.json"))?;
    let mut cases = manifest.pairs("training")?;
    let mut test = if manifest.has("validation") { manifest.pairs("validation")? } else { Vec::new() };
    let available: Vec<Modality> = [Modality::Ct, Modality::Mr]
        .into_iter()
        .filter(|available| cases.iter().any(|case| modality(case) == Some(*available)))
        .collect();
    let chosen = choose(root, requested, &available)?;
    for part in [&mut cases, &mut test] {
        part.retain(|case| modality(case) == Some(chosen));
    }
    Ok(DatasetIndex {
        name: Some(format!("AMOS22 {}", chosen.name())),
        modality: chosen,
        channels: vec![chosen.name().to_owned()],
        label_schema: manifest.label_schema()?,
        cases,
        test,
        unlabeled: Vec::new(),
        skipped: Vec::new(),
    })
}

/// The modality of a case by its number; `None` if its id is not one of AMOS22.
fn modality(case: &Case) -> Option<Modality> {
    let number: u32 = case.id.strip_prefix(PREFIX)?.parse().ok()?;
    Some(if number < FIRST_MR { Modality::Ct } else { Modality::Mr })
}
