//! Per-case descriptions of the scans to segment.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Result, bail};
use bipvl::{
    data::case_descriptions_path,
    infer::{Predictor, TrainedModel},
};

use super::{inputs::Scan, outputs::Job};
use crate::args::PredictArgs;

/// Files with per-case descriptions, by case id.
pub(super) struct CasePrompts(HashMap<String, PathBuf>);

impl CasePrompts {
    /// Finds the files of `--case-descriptions`, or those in `descriptionsTs` beside `imagesTs`.
    ///
    /// # Errors
    ///
    /// When the folder of `--case-descriptions` has no file for any scan.
    pub(super) fn find(args: &PredictArgs, jobs: &[Job]) -> Result<Self> {
        let path_of = |scan: &Scan| match &args.case_descriptions {
            Some(folder) => Some(folder.join(format!("{}.toml", scan.id))).filter(|file| file.is_file()),
            None => case_descriptions_path(&scan.paths()[0], &scan.id),
        };
        let entry = |job: &Job| Some((job.scan.id.clone(), path_of(&job.scan)?));
        let mut files: HashMap<String, PathBuf> = jobs.iter().filter_map(entry).collect();
        if let (Some(descriptions), false) = (&args.descriptions, files.is_empty()) {
            let mut ids: Vec<&str> = files.keys().map(String::as_str).collect();
            ids.sort_unstable();
            let descriptions = descriptions.display();
            tracing::warn!(
                "{descriptions} applies to all scans; ignoring the per-case descriptions of {}",
                ids.join(", ")
            );
            files.clear();
        }
        match &args.case_descriptions {
            // A shard may have none of the scans that are described.
            Some(folder) if files.is_empty() && !jobs.is_empty() && args.shard.shard.is_none() => {
                bail!(
                    "{}: no file CASE.toml for any of the scans, such as {}.toml",
                    folder.display(),
                    jobs[0].scan.id
                )
            }
            _ if files.is_empty() => {}
            _ => tracing::info!("{} of {} scans have per-case descriptions", files.len(), jobs.len()),
        }
        Ok(Self(files))
    }

    /// The predictor for a case.
    ///
    /// # Errors
    ///
    /// When the descriptions of the case cannot be read or do not fit the classes.
    pub(super) fn apply(
        &self,
        predictor: &Predictor,
        runs: &[TrainedModel],
        scan: &Scan,
    ) -> Result<Option<Predictor>> {
        let Some(file) = self.0.get(&scan.id) else { return Ok(None) };
        let prompts = |run: &TrainedModel| Ok(run.case_text(file)?.prompts);
        Ok(Some(predictor.with_prompts(&runs.iter().map(prompts).collect::<Result<Vec<_>>>()?)))
    }
}
