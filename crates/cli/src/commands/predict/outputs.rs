//! Output files of a prediction.

use std::{collections::HashSet, fs, path::Path};

use anyhow::{Context, Result};
use bipvl_imaging::{
    SegmentationFiles,
    formats::{output_ending, strip_ending},
};

use super::{
    inputs::Scan,
    protection::{refuse_existing, refuse_incomplete, refuse_inputs, refuse_repetition},
};
use crate::args::PredictArgs;

/// Letters of a class or prompt in the name of a file, of which systems allow some 250 bytes.
const MAX_NAME: usize = 60;
const DEFAULT_ENDING: &str = ".nii.gz";

/// One scan and the files to write for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) scan: Scan,
    /// `OUT/CASE.nii.gz`, and `OUT/masks/CASE_CLASS.nii.gz`, `OUT/probabilities/CASE_CLASS.nii.gz` if requested.
    pub(super) files: SegmentationFiles,
}

/// Names the outputs of all cases, given the classes that are written. With `--skip-existing`, finished cases are left
/// out.
///
/// # Errors
///
/// When an output is an input, exists and may not be replaced, or is one of two classes or cases.
pub(super) fn plan(args: &PredictArgs, scans: Vec<Scan>, classes: &[&str]) -> Result<Vec<Job>> {
    let mut jobs: Vec<Job> = scans.into_iter().map(|scan| job(args, scan, classes)).collect();
    refuse_inputs(&jobs)?;
    refuse_repetition(&jobs)?;
    if args.skip_existing {
        let count = jobs.len();
        refuse_incomplete(&jobs)?;
        jobs.retain(|job| !job.files.label_map.exists());
        tracing::info!("{} of {count} scans have been segmented already", count - jobs.len());
    } else if !args.overwrite {
        refuse_existing(&jobs)?;
    }
    Ok(jobs)
}

/// Creates the folders of all outputs.
pub(super) fn create_folders(args: &PredictArgs, jobs: &[Job]) -> Result<()> {
    let folders = jobs.iter().flat_map(|job| job.files.paths()).filter_map(|path| path.parent());
    let folders: HashSet<&Path> = folders.chain([args.out.as_path()]).collect();
    folders
        .into_iter()
        .try_for_each(|path| fs::create_dir_all(path).with_context(|| path.display().to_string()))
}

fn job(args: &PredictArgs, scan: Scan, classes: &[&str]) -> Job {
    let of_input = strip_ending(&scan.images[0]).map_or(DEFAULT_ENDING, |(_, ending)| output_ending(ending));
    let ending = args.format.map_or(of_input, |format| format.0);
    let for_each = |folder: &str, is_requested: bool| {
        let classes = if is_requested { classes } else { &[] };
        let path =
            |class: &&str| args.out.join(folder).join(format!("{}_{}{ending}", scan.id, file_name(class)));
        classes.iter().map(path).collect()
    };
    let files = SegmentationFiles {
        label_map: args.out.join(format!("{}{ending}", scan.id)),
        masks: for_each("masks", args.more.each),
        probabilities: for_each("probabilities", args.more.probabilities),
    };
    Job { scan, files }
}

/// The name of a class as a part of a file name: what is neither a letter, a digit, `-` nor `.` becomes `_`.
fn file_name(class: &str) -> String {
    class
        .chars()
        .take(MAX_NAME)
        .map(|c| if c.is_alphanumeric() || "-.".contains(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_become_file_names() {
        assert_eq!(file_name("left kidney"), "left_kidney");
        assert_eq!(file_name("a/b\\c:d"), "a_b_c_d");
        assert_eq!(file_name("Milz-1.5 größe"), "Milz-1.5_größe");
    }
}
