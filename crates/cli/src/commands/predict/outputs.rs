//! Output files of a prediction.

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

use super::{
    inputs::Scan,
    protection::{
        prompts_in, refuse_existing, refuse_incomplete, refuse_inputs, refuse_other_prompts,
        refuse_repetition,
    },
};
use crate::{
    args::{FormatArg, ObjectFormat, PredictArgs, ShardArg},
    shard::Shard,
};

/// Letters of a class or prompt in the name of a file, of which systems allow some 250 bytes.
const MAX_NAME: usize = 60;
/// Of label maps and masks without a format of their own.
const DEFAULT_ENDING: &str = ".nii.gz";

/// The scans to segment, of which a shard has a part.
#[derive(Debug)]
pub(super) struct Plan {
    /// Scans to segment.
    pub(super) jobs: Vec<Job>,
    /// Scans that are left out, because all their files exist.
    pub(super) finished: Vec<Job>,
    /// The part of all scans.
    pub(super) shard: Option<Shard>,
    /// How many scans the inputs have.
    pub(super) studies: usize,
}

/// One scan and the files to write for it.
#[derive(Debug)]
pub(super) struct Job {
    /// Its place among all scans of the inputs, by name.
    pub(super) place: usize,
    pub(super) scan: Scan,
    /// `OUT/CASE.nii.gz`, and `OUT/masks/CASE_CLASS.nii.gz`, `OUT/probabilities/CASE_CLASS.nii.gz` if requested.
    pub(super) files: SegmentationFiles,
    /// DICOM objects: `OUT/CASE.seg.dcm` and so on.
    pub(super) objects: Vec<(ObjectFormat, PathBuf)>,
    /// A fractional segmentation: `OUT/CASE.probabilities.dcm`.
    pub(super) fractional: Option<PathBuf>,
    /// `OUT/CASE.statistics.json` and `.csv`.
    pub(super) statistics: Option<[PathBuf; 2]>,
    /// What the values mean and what was found, of a prompted run: `OUT/CASE.labels.json`.
    pub(super) labels: Option<PathBuf>,
    /// Files of an earlier prediction with other prompts, which the new one takes the place of.
    pub(super) outdated: Vec<PathBuf>,
}

impl Job {
    /// All outputs.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let objects = self.objects.iter().map(|(_, path)| path);
        let statistics = self.statistics.iter().flatten();
        self.files.paths().chain(objects).chain(&self.fractional).chain(statistics).chain(&self.labels)
    }

    /// The output that a person looks at first.
    pub(super) fn main_output(&self) -> &PathBuf {
        let object = self.objects.first().map(|(_, path)| path);
        self.files.label_map.as_ref().or(object).expect("every job has a label map or an object")
    }

    /// Whether intensities are measured.
    pub(super) fn measures(&self) -> bool {
        self.statistics.is_some() || self.objects.iter().any(|(object, _)| *object == ObjectFormat::Sr)
    }

    /// Removes what the new results take the place of.
    pub(super) fn remove_outdated(&self) -> Result<()> {
        let remove = |path: &PathBuf| fs::remove_file(path).with_context(|| path.display().to_string());
        self.outdated.iter().try_for_each(remove)
    }

    /// Whether all outputs exist.
    fn is_finished(&self) -> bool {
        self.paths().all(|path| path.exists())
    }
}

/// Names the outputs of all cases, given the classes that are written. With `--skip-existing` or `--shard`, finished cases
/// are left out; of a shard, cases with some of their files are segmented again.
///
/// # Errors
///
/// When an output is an input, exists and may not be replaced, or is one of two classes or cases.
pub(super) fn plan(
    args: &PredictArgs,
    mut scans: Vec<Scan>,
    classes: &[&str],
    is_prompted: bool,
) -> Result<Plan> {
    let shard = args.shard.shard.map(ShardArg::resolve).transpose()?;
    scans.sort_by(|one, other| one.id.cmp(&other.id));
    let named =
        scans.into_iter().enumerate().map(|(place, scan)| job(args, place, scan, classes, is_prompted));
    let mut jobs = named.collect::<Result<Vec<Job>>>()?;
    // Of all shards: none may write what another reads or writes.
    refuse_inputs(&jobs)?;
    refuse_repetition(&jobs)?;
    let (studies, mut finished) = (jobs.len(), Vec::new());
    if let Some(shard) = shard {
        jobs.retain(|job| shard.has(job.place));
        tracing::info!("shard {shard}: {} of {studies} scans", jobs.len());
    }
    if args.skip_existing || shard.is_some() {
        if shard.is_none() {
            refuse_incomplete(&jobs)?;
        }
        refuse_other_prompts(&jobs, classes)?;
        let count = jobs.len();
        (finished, jobs) = jobs.into_iter().partition(Job::is_finished);
        tracing::info!("{} of {count} scans have been segmented already", finished.len());
    } else if !args.overwrite {
        refuse_existing(&jobs)?;
    }
    Ok(Plan { jobs, finished, shard, studies })
}

/// Creates the folders of all outputs.
pub(super) fn create_folders(args: &PredictArgs, jobs: &[Job]) -> Result<()> {
    let folders = jobs.iter().flat_map(Job::paths).filter_map(|path| path.parent());
    let folders: HashSet<&Path> = folders.chain([args.out.as_path()]).collect();
    folders
        .into_iter()
        .try_for_each(|path| fs::create_dir_all(path).with_context(|| path.display().to_string()))
}

fn job(args: &PredictArgs, place: usize, scan: Scan, classes: &[&str], is_prompted: bool) -> Result<Job> {
    let (mut endings, mut objects): (Vec<&'static str>, Vec<ObjectFormat>) = (Vec::new(), Vec::new());
    for format in &args.format {
        match format {
            FormatArg::Volume(ending) if !endings.contains(ending) => endings.push(ending),
            FormatArg::Object(object) if !objects.contains(object) => objects.push(*object),
            _ => {}
        }
    }
    if let [first, second, ..] = &endings[..] {
        bail!("--format: one format for label maps, not {first} and {second}");
    }
    if args.wants_dicom() && !scan.is_dicom() {
        bail!(
            "{}: not DICOM; --series, --deidentify and DICOM formats need a series",
            scan.paths()[0].display()
        );
    }
    if args.format.is_empty() {
        if scan.is_dicom() {
            objects.push(ObjectFormat::Seg);
        } else {
            let own = strip_ending(&scan.paths()[0]).map(|(_, ending)| output_ending(ending));
            endings.push(own.unwrap_or(DEFAULT_ENDING));
        }
    }
    if objects.contains(&ObjectFormat::Sr) && !objects.contains(&ObjectFormat::Seg) {
        bail!("--format sr: the report refers to the segments of dicom-seg; give both");
    }
    let ending = endings.first().copied();
    let of_case = |ending: &str| args.out.join(format!("{}{ending}", scan.id));
    let of_class = |folder: &str, class: &str| {
        let ending = ending.unwrap_or(DEFAULT_ENDING);
        args.out.join(folder).join(format!("{}_{}{ending}", scan.id, file_name(class)))
    };
    let for_each = |folder: &str, is_requested: bool| {
        let classes = if is_requested { classes } else { &[] };
        classes.iter().map(|class| of_class(folder, class)).collect()
    };
    let labels = is_prompted.then(|| of_case(".labels.json"));
    // Without a file format, the probabilities of a series are a DICOM object, too.
    let is_fractional = args.more.probabilities && ending.is_none();
    let files = SegmentationFiles {
        label_map: ending.map(of_case),
        masks: for_each("masks", args.more.each),
        probabilities: for_each("probabilities", args.more.probabilities && !is_fractional),
    };
    Ok(Job {
        place,
        objects: objects.into_iter().map(|object| (object, of_case(object.ending()))).collect(),
        fractional: is_fractional.then(|| of_case(".probabilities.dcm")),
        statistics: args.more.statistics.then(|| [".statistics.json", ".statistics.csv"].map(of_case)),
        outdated: match labels.as_deref().filter(|path| args.overwrite && path.exists()) {
            Some(path) => outdated(path, &files, of_class)?,
            None => Vec::new(),
        },
        files,
        labels,
        scan,
    })
}

/// Masks and probabilities of the prompts of an earlier prediction that are not written again.
fn outdated(
    labels: &Path,
    files: &SegmentationFiles,
    of_class: impl Fn(&str, &str) -> PathBuf,
) -> Result<Vec<PathBuf>> {
    let written: HashSet<&PathBuf> = files.paths().collect();
    let before = prompts_in(labels)?;
    let paths =
        before.iter().flat_map(|prompt| ["masks", "probabilities"].map(|folder| of_class(folder, prompt)));
    Ok(paths.filter(|path| path.exists() && !written.contains(path)).collect())
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
