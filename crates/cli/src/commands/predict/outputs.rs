//! Output files of a prediction: their names, and the protection of files that exist.

use std::{collections::HashSet, path::PathBuf};

use anyhow::{Result, bail};
use bipvl_imaging::formats::{output_ending, strip_ending};

use super::inputs::Scan;
use crate::{args::PredictArgs, paths::canonical};

const DEFAULT_ENDING: &str = ".nii.gz";

/// One scan and the files to write for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) scan: Scan,
    /// `OUT/CASE.nii.gz`.
    pub(super) label_map: PathBuf,
}

/// Names the outputs of all cases. With `--skip-existing`, finished cases are left out.
///
/// # Errors
///
/// When an output is an input, or exists and may not be replaced.
pub(super) fn plan(args: &PredictArgs, scans: Vec<Scan>) -> Result<Vec<Job>> {
    let mut jobs: Vec<Job> = scans.into_iter().map(|scan| job(args, scan)).collect();
    refuse_inputs(&jobs)?;
    if args.skip_existing {
        let count = jobs.len();
        jobs.retain(|job| !job.label_map.exists());
        tracing::info!("{} of {count} scans have been segmented already", count - jobs.len());
    } else if !args.overwrite {
        let existing: Vec<&PathBuf> =
            jobs.iter().map(|job| &job.label_map).filter(|path| path.exists()).collect();
        if let [first, ..] = existing[..] {
            bail!(
                "{}: the output exists already, as do {} others; use --overwrite to replace them or --skip-existing to \
                 segment the remaining scans",
                first.display(),
                existing.len() - 1
            );
        }
    }
    Ok(jobs)
}

fn job(args: &PredictArgs, scan: Scan) -> Job {
    let of_input = strip_ending(&scan.images[0]).map_or(DEFAULT_ENDING, |(_, ending)| output_ending(ending));
    let ending = args.format.map_or(of_input, |format| format.0);
    Job { label_map: args.out.join(format!("{}{ending}", scan.id)), scan }
}

fn refuse_inputs(jobs: &[Job]) -> Result<()> {
    let inputs: HashSet<PathBuf> =
        jobs.iter().flat_map(|job| &job.scan.images).map(|path| canonical(path)).collect();
    match jobs.iter().map(|job| &job.label_map).find(|path| inputs.contains(&canonical(path))) {
        Some(path) => {
            bail!("{}: the output would replace an input; choose another --out folder", path.display())
        }
        None => Ok(()),
    }
}
