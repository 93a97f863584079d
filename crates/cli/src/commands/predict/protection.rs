//! Protection of files: no output replaces an input, an existing file without a flag, or another output.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::outputs::Job;
use crate::paths::canonical;

pub(super) fn refuse_existing(jobs: &[Job]) -> Result<()> {
    let existing: Vec<&PathBuf> = jobs.iter().flat_map(Job::paths).filter(|path| path.exists()).collect();
    let [first, others @ ..] = &existing[..] else { return Ok(()) };
    let others = if others.is_empty() { String::new() } else { format!(", as do {} others", others.len()) };
    bail!(
        "{}: the output exists already{others}; use --overwrite to replace it or --skip-existing to segment the \
         remaining scans",
        first.display()
    );
}

pub(super) fn refuse_inputs(jobs: &[Job]) -> Result<()> {
    let inputs: HashSet<PathBuf> =
        jobs.iter().flat_map(|job| job.scan.paths()).map(|path| canonical(path)).collect();
    let mut outputs = jobs.iter().flat_map(Job::paths);
    match outputs.find(|path| inputs.contains(&canonical(path))) {
        Some(path) => {
            bail!("{}: the output would replace an input; choose another --out folder", path.display())
        }
        None => Ok(()),
    }
}

pub(super) fn refuse_repetition(jobs: &[Job]) -> Result<()> {
    let mut names = HashSet::new();
    match jobs.iter().flat_map(Job::paths).find(|path| !names.insert(*path)) {
        Some(path) => bail!("{}: two classes or scans have this output", path.display()),
        None => Ok(()),
    }
}

/// A scan with some of its outputs would stay without the others.
pub(super) fn refuse_incomplete(jobs: &[Job]) -> Result<()> {
    let both = |job: &Job| {
        let there = job.paths().find(|path| path.exists())?.clone();
        Some((job.paths().find(|path| !path.exists())?.clone(), there))
    };
    match jobs.iter().find_map(both) {
        Some((missing, there)) => bail!(
            "{}: does not exist, but {} does; use --overwrite or another --out",
            missing.display(),
            there.display()
        ),
        None => Ok(()),
    }
}

/// The scans that `--skip-existing` leaves out must have been segmented with the same prompts.
pub(super) fn refuse_other_prompts(jobs: &[Job], prompts: &[&str]) -> Result<()> {
    for path in jobs.iter().filter_map(|job| job.labels.as_ref()).filter(|path| path.exists()) {
        let before = prompts_in(path)?;
        if before != prompts {
            bail!(
                "{}: made with other prompts ({}); use the same, --overwrite, or another --out",
                path.display(),
                before.join(", ")
            );
        }
    }
    Ok(())
}

/// The prompts of an earlier prediction, from its `labels.json`.
pub(super) fn prompts_in(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let labels: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let labels = labels["labels"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(labels.iter().filter_map(|label| label["prompt"].as_str()).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::SegmentationFiles;

    use super::*;
    use crate::commands::predict::inputs::{Scan, ScanSource};

    #[test]
    fn two_classes_or_scans_with_one_file_are_refused() {
        let job = |id: &str, mask: &str| Job {
            place: 0,
            scan: Scan { id: id.to_owned(), source: ScanSource::Images(Vec::new()) },
            files: SegmentationFiles {
                label_map: Some(PathBuf::from(format!("{id}.nii"))),
                masks: vec![PathBuf::from(mask)],
                probabilities: Vec::new(),
            },
            objects: Vec::new(),
            fractional: None,
            statistics: None,
            labels: None,
            outdated: Vec::new(),
        };
        refuse_repetition(&[job("a", "masks/a_b.nii"), job("b", "masks/b_b.nii")]).unwrap();
        let error = refuse_repetition(&[job("a", "masks/a_b_c.nii"), job("a_b", "masks/a_b_c.nii")]);
        assert!(error.unwrap_err().to_string().contains("masks/a_b_c.nii"));
    }
}
