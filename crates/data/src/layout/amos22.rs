//! AMOS22 (Ji et al., arXiv 2206.08023): the `dataset.json` of the Decathlon, CT and MR in one folder, the
//! labeled `validation` list kept for the test, since nobody has the labels of the challenge's own.

use std::path::Path;

use super::{Case, DatasetIndex, Regions, choose, dataset_json::DatasetJson};
use crate::Modality;
use crate::Result;

/// Every id begins with this, and its number follows.
const PREFIX: &str = "amos_";
/// The release counts CT from 1 and MR from here.
const FIRST_MR: u32 = 500;

pub(super) fn is_described_by(about: &DatasetJson) -> bool {
    let is_amos = |cases: Vec<Case>| !cases.is_empty() && cases.iter().all(|case| modality(case).is_some());
    about.has("modality") && about.pairs("training").is_ok_and(is_amos)
}

pub(super) fn list(root: &Path, wanted: Option<Modality>) -> Result<DatasetIndex> {
    let about = DatasetJson::read(&root.join("dataset.json"))?;
    let (classes, labels) = about.single_classes()?;
    let mut cases = about.pairs("training")?;
    let mut test = if about.has("validation") { about.pairs("validation")? } else { Vec::new() };
    let held: Vec<Modality> = [Modality::Ct, Modality::Mr]
        .into_iter()
        .filter(|held| cases.iter().any(|case| modality(case) == Some(*held)))
        .collect();
    let chosen = choose(root, wanted, &held)?;
    for part in [&mut cases, &mut test] {
        part.retain(|case| modality(case) == Some(chosen));
    }
    Ok(DatasetIndex {
        name: Some(format!("AMOS22 {}", chosen.name())),
        modality: chosen,
        channels: vec![chosen.name().to_owned()],
        classes,
        labels,
        regions: Regions::new(),
        cases,
        test,
    })
}

/// What a case was taken with, by its number; none where it has no number of the set.
fn modality(case: &Case) -> Option<Modality> {
    let number: u32 = case.id.strip_prefix(PREFIX)?.parse().ok()?;
    Some(if number < FIRST_MR { Modality::Ct } else { Modality::Mr })
}
