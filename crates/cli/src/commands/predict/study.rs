//! One study of a queue: what `bipvl predict` does with a scan, with a model that is in memory.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, anyhow, bail};
use bipvl::{
    data::{self, Modality},
    infer,
    prompts::{self, FoundSegment, Model, ModelSegmentation, SegmentationRequest},
    text::Synonyms,
};
use bipvl_dicom::{Algorithm, is_dicom_file};
use bipvl_imaging::{Volume, formats::strip_ending};
use bipvl_io::{FileError, FileTransaction};
use clap::Parser;

use super::{
    inputs::{Scan, ScanSource},
    outputs::{self, Job},
    prompted::stage_labels,
    results::{self, ModelOutput},
    scan::{self, LoadedScan},
};
use crate::args::{FormatArg, PredictArgs};

/// Computed tomography, as DICOM calls it.
const CT: &str = "CT";

/// A scan, and what is wanted of it.
#[derive(Debug)]
pub(crate) struct StudyRequest {
    /// What its files are named after.
    pub(crate) name: String,
    /// A file per channel, or a DICOM study.
    pub(crate) scan: Vec<PathBuf>,
    /// The folder for the result.
    pub(crate) out: PathBuf,
    /// Formats of the result.
    pub(crate) formats: Vec<FormatArg>,
    /// What to find.
    pub(crate) segmentation: SegmentationRequest,
    /// The series of a DICOM study.
    pub(crate) series: Option<String>,
    /// Whether volumes and intensities are written.
    pub(crate) statistics: bool,
}

/// Why a study has no result.
#[derive(Debug)]
pub(crate) enum StudyError {
    /// The scan or the request: another attempt fails, too.
    Input(Error),
    /// What is around it: disk, network, memory.
    Surroundings(Error),
}

/// The last file of a result, which says that all others are there.
pub(crate) struct LastFile<'a> {
    /// Where it is written.
    pub(crate) path: PathBuf,
    /// Makes it from what was found and the names of the other files.
    pub(crate) make: &'a dyn Fn(Vec<FoundSegment>, Vec<String>) -> Result<Vec<u8>>,
}

/// `PredictArgs` as the parser of arguments makes them.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: PredictArgs,
}

/// A study that fits the model.
struct Planned<'a> {
    model: &'a Model,
    request: &'a StudyRequest,
    args: PredictArgs,
    job: Job,
}

/// Segments a study and writes its files, all or none. `key` tells the weights apart.
pub(crate) fn segment(
    model: &Model,
    key: &str,
    request: &StudyRequest,
    last: &LastFile<'_>,
    on_progress: &dyn Fn() -> ControlFlow<()>,
) -> Result<(), StudyError> {
    let planned = Planned::new(model, request).map_err(of_input)?;
    let mut loaded = planned.load().map_err(of_input)?;
    let channels = std::mem::take(&mut loaded.channels);
    let image = planned.job.measures().then(|| channels[0].clone());
    let (path, header) = (&planned.job.scan.paths()[0], loaded.header.as_ref());
    let found = model.segment(channels, path, header, &request.segmentation, &mut |_| on_progress());
    let found = found.map_err(|error| of_input(error.into()))?;
    planned.write(&loaded, &found, image.as_ref(), key, last).map_err(StudyError::Surroundings)
}

impl<'a> Planned<'a> {
    fn new(model: &'a Model, request: &'a StudyRequest) -> Result<Self> {
        model.check(&request.segmentation)?;
        let source = match &request.scan[..] {
            [path] if is_dicom(path)? => ScanSource::Dicom(path.clone()),
            images => ScanSource::Images(images.to_vec()),
        };
        let args = flags(model, request)?;
        let asked = &request.segmentation;
        let names = asked.prompts.as_ref().or(asked.classes.as_ref()).cloned();
        let names = names.unwrap_or_else(|| model.class_names());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let scan = Scan { id: request.name.clone(), source };
        let plan = outputs::plan(&args, vec![scan], &names, model.is_prompted())?;
        let job = plan.jobs.into_iter().next().ok_or_else(|| anyhow!("{}: no scan", request.name))?;
        Ok(Self { model, request, args, job })
    }

    fn load(&self) -> Result<LoadedScan> {
        let loaded = scan::load(&self.job.scan, &self.args)?;
        if let Some(found) = loaded.modality() {
            ensure_modality(self.model, &self.request.name, found)?;
        }
        Ok(loaded)
    }

    fn write(
        &self,
        loaded: &LoadedScan,
        found: &ModelSegmentation,
        image: Option<&Volume<f32>>,
        key: &str,
        last: &LastFile<'_>,
    ) -> Result<()> {
        let Self { request, args, job, .. } = self;
        let algorithm = Algorithm {
            name: "bipvl".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key: format!("{key} {:?}", request.segmentation),
        };
        outputs::create_folders(args, std::slice::from_ref(job))?;
        let mut staged = FileTransaction::default();
        found.stage(&job.files, &mut staged)?;
        let source = loaded.source(algorithm, args)?;
        let segments = match found {
            ModelSegmentation::Classes(classes) => ModelOutput::Classes(classes),
            ModelSegmentation::Prompts(prompts) => ModelOutput::Prompts(prompts, found.segments()),
        };
        results::stage(job, source.as_ref(), &segments, image, &Synonyms::builtin(), &mut staged)?;
        stage_labels(job, args, &found.findings().unwrap_or_default(), &mut staged)?;
        let names = job.paths().map(|path| path.strip_prefix(&request.out).unwrap_or(path));
        let names = names.map(|path| path.display().to_string()).collect();
        staged.stage(&last.path, &(last.make)(found.found_segments(), names)?)?;
        Ok(staged.commit()?)
    }
}

/// The flags of `bipvl predict` that the request stands for.
fn flags(model: &Model, request: &StudyRequest) -> Result<PredictArgs> {
    let words = ["predict".as_ref(), "--model".as_ref(), model.dir().as_os_str(), "--out".as_ref()];
    let words = words.into_iter().chain([request.out.as_os_str(), "--".as_ref()]);
    let words = words.chain(request.scan.iter().map(|path| path.as_os_str()));
    let Flags { mut args } = Flags::try_parse_from(words)?;
    args.format.clone_from(&request.formats);
    args.dicom.series.clone_from(&request.series);
    args.more.statistics = request.statistics;
    // A worker that was killed may have left some of the files.
    args.overwrite = true;
    Ok(args)
}

/// Whether a path is a DICOM study, as `bipvl predict` takes it.
fn is_dicom(path: &Path) -> Result<bool> {
    let about = fs::metadata(path).map_err(|reason| FileError::new(path, reason))?;
    if about.is_dir() {
        return Ok(true);
    }
    if strip_ending(path).is_some() {
        return Ok(false);
    }
    if !is_dicom_file(path)? {
        bail!("{}: not an image of a known format, nor DICOM", path.display());
    }
    Ok(true)
}

/// Refuses a series of another modality than the model was trained on; image files do not say theirs.
fn ensure_modality(model: &Model, name: &str, found: &str) -> Result<()> {
    let trained: Option<Vec<Modality>> = match model {
        Model::Classes { first, .. } => Some(vec![first.config.data.modality]),
        Model::Prompts { run, .. } => run.config.data.set.iter().map(|set| set.modality).collect(),
    };
    // A data set of one modality need not name it.
    let Some(trained) = trained else { return Ok(()) };
    if trained.iter().any(|modality| (*modality == Modality::Ct) == (found == CT)) {
        return Ok(());
    }
    let trained = if trained.contains(&Modality::Ct) { "CT" } else { "MR" };
    bail!("{name}: a series of modality {found}, but the model was trained on {trained}")
}

/// An error of what was given, unless a file cannot be read for a reason that may pass.
fn of_input(error: Error) -> StudyError {
    use io::ErrorKind::{
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        UnexpectedEof,
    };
    let lasting = [
        InvalidData,
        InvalidFilename,
        InvalidInput,
        IsADirectory,
        NotADirectory,
        NotFound,
        PermissionDenied,
        UnexpectedEof,
    ];
    match error.chain().find_map(io_error) {
        Some(reason) if !lasting.contains(&reason.kind()) => StudyError::Surroundings(error),
        _ => StudyError::Input(error),
    }
}

/// What the system said of a file. Errors of libraries that hold another error speak for it, and do not name it as their
/// cause.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    use bipvl_dicom::Error as Dicom;
    use bipvl_imaging::Error as Imaging;
    use data::Error as Data;
    use infer::Error as Infer;
    use prompts::Error as Prompts;
    let file = |error: &'a FileError| Some(&error.reason);
    let imaging = |error: &'a Imaging| match error {
        Imaging::Io(error) => file(error),
        _ => None,
    };
    let data = |error: &'a Data| match error {
        Data::Io(error) => file(error),
        Data::Imaging(error) => imaging(error),
        _ => None,
    };
    let of_prompts = |error: &'a Prompts| match error {
        Prompts::Io(error) | Prompts::Infer(Infer::Io(error)) => file(error),
        Prompts::Imaging(error) | Prompts::Infer(Infer::Imaging(error)) => imaging(error),
        Prompts::Data(error) | Prompts::Infer(Infer::Data(error)) => data(error),
        _ => None,
    };
    let of_dicom = |error: &'a Dicom| match error {
        Dicom::Io(error) => file(error),
        Dicom::Imaging(error) => imaging(error),
        _ => None,
    };
    let found = error.downcast_ref().and_then(file).or_else(|| error.downcast_ref().and_then(imaging));
    let found = found.or_else(|| error.downcast_ref().and_then(data));
    let found = found.or_else(|| error.downcast_ref().and_then(of_dicom));
    found.or_else(|| error.downcast_ref().and_then(of_prompts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_error(kind: io::ErrorKind) -> FileError {
        FileError::new(Path::new("scan.nii"), kind.into())
    }

    #[test]
    fn what_the_file_system_says_decides_whether_another_attempt_helps() {
        use io::ErrorKind::{NotFound, StaleNetworkFileHandle, TimedOut};
        let is_lasting = |error: Error| matches!(of_input(error), StudyError::Input(_));
        let imaging = |kind| bipvl_imaging::Error::Io(file_error(kind));
        assert!(is_lasting(file_error(NotFound).into()));
        assert!(!is_lasting(file_error(TimedOut).into()));
        assert!(is_lasting(imaging(NotFound).into()));
        assert!(!is_lasting(imaging(StaleNetworkFileHandle).into()));
        assert!(!is_lasting(data::Error::Imaging(imaging(TimedOut)).into()));
        assert!(!is_lasting(bipvl_dicom::Error::Io(file_error(TimedOut)).into()));
        assert!(!is_lasting(prompts::Error::Infer(infer::Error::Imaging(imaging(TimedOut))).into()));
        assert!(!is_lasting(Error::from(imaging(TimedOut)).context("while reading")));
        let truncated = bipvl_imaging::Error::TruncatedVoxels { path: "a.nii".into(), found: 1, expected: 2 };
        assert!(is_lasting(truncated.into()));
    }
}
