//! Output files of a prediction: their names, and the protection of files that exist.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl_imaging::{
    SegmentationFiles,
    formats::{output_ending, strip_ending},
};

use super::inputs::Scan;
use crate::{args::PredictArgs, paths::canonical};

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
        let existing: Vec<&PathBuf> =
            jobs.iter().flat_map(|job| job.files.paths()).filter(|path| path.exists()).collect();
        if let [first, others @ ..] = &existing[..] {
            let others =
                if others.is_empty() { String::new() } else { format!(", as do {} others", others.len()) };
            bail!(
                "{}: the output exists already{others}; use --overwrite to replace it or --skip-existing to segment the \
                 remaining scans",
                first.display()
            );
        }
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

fn refuse_inputs(jobs: &[Job]) -> Result<()> {
    let inputs: HashSet<PathBuf> =
        jobs.iter().flat_map(|job| &job.scan.images).map(|path| canonical(path)).collect();
    let mut outputs = jobs.iter().flat_map(|job| job.files.paths());
    match outputs.find(|path| inputs.contains(&canonical(path))) {
        Some(path) => {
            bail!("{}: the output would replace an input; choose another --out folder", path.display())
        }
        None => Ok(()),
    }
}

fn refuse_repetition(jobs: &[Job]) -> Result<()> {
    let mut names = HashSet::new();
    match jobs.iter().flat_map(|job| job.files.paths()).find(|path| !names.insert(*path)) {
        Some(path) => bail!("{}: two classes or scans have this output", path.display()),
        None => Ok(()),
    }
}

/// A scan with a label map is finished; it would stay without the other files.
fn refuse_incomplete(jobs: &[Job]) -> Result<()> {
    let mut finished = jobs.iter().filter(|job| job.files.label_map.exists());
    let missing = finished.find_map(|job| Some((job, job.files.paths().find(|path| !path.exists())?)));
    match missing {
        Some((job, path)) => bail!(
            "{}: does not exist, but {} does; use --overwrite or another --out",
            path.display(),
            job.files.label_map.display()
        ),
        None => Ok(()),
    }
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

    #[test]
    fn two_classes_or_scans_with_one_file_are_refused() {
        let job = |id: &str, mask: &str| Job {
            scan: Scan { id: id.to_owned(), images: Vec::new() },
            files: SegmentationFiles {
                label_map: PathBuf::from(format!("{id}.nii")),
                masks: vec![PathBuf::from(mask)],
                probabilities: Vec::new(),
            },
        };
        refuse_repetition(&[job("a", "masks/a_b.nii"), job("b", "masks/b_b.nii")]).unwrap();
        let error = refuse_repetition(&[job("a", "masks/a_b_c.nii"), job("a_b", "masks/a_b_c.nii")]);
        assert!(error.unwrap_err().to_string().contains("masks/a_b_c.nii"));
    }
}
