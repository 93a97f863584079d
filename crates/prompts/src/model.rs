//! A trained run of either form, for programs that take both.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bipvl_imaging::{Grid, Header, LabelMap, Segment, Segmentation, SegmentationFiles, Volume};
use bipvl_infer::{InferConfig, InferenceProgress, Predictor, TrainedModel, run_dirs};
use bipvl_io::FileTransaction;
use bipvl_text::Synonyms;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Finding, Overlap, PromptPredictor, PromptRun, PromptSegmentation, Result, reading::check_prompts,
};

/// A run in memory, or the runs of an ensemble.
#[expect(clippy::large_enum_variant, reason = "there is one per model")]
#[derive(Debug)]
pub enum Model {
    /// With a channel per class: a run, a cross-validation, or several runs whose logits are averaged.
    Classes {
        /// The first run.
        first: TrainedModel,
        /// All of them.
        predictor: Predictor,
    },
    /// A prompted run.
    Prompts {
        /// The run.
        run: PromptRun,
        /// Its network.
        predictor: PromptPredictor,
    },
}

/// What [`Model::segment`] should find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentationRequest {
    /// Texts for a prompted run; `None` for the names of its concepts.
    pub prompts: Option<Vec<String>>,
    /// Some of the classes of the other form, by name or synonym; `None` for all.
    pub classes: Option<Vec<String>>,
    /// The data set of a prompted run whose preprocessing fits.
    pub like: Option<String>,
    /// Whether each voxel belongs to one prompt at most.
    pub exclusive: bool,
    /// Whether probabilities are kept.
    pub probabilities: bool,
}

/// What a [`Model`] found.
#[derive(Debug)]
pub enum ModelSegmentation {
    /// Classes.
    Classes(Segmentation),
    /// Prompts.
    Prompts(PromptSegmentation),
}

/// What was found of a class or prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundSegment {
    /// The class or prompt.
    pub name: String,
    /// Its value in the label map.
    pub value: u16,
    /// Whether anything was found.
    pub found: bool,
    /// Probability that the scan shows it, from 0 to 1; `None` where the network has no such output.
    pub presence: Option<f32>,
    /// Volume in ml.
    pub volume_ml: f64,
}

impl Model {
    /// Opens runs; a prompted one must be alone. `overlap` of neighboring windows replaces that of the run.
    ///
    /// # Errors
    ///
    /// When there is no run, one cannot be read, or they do not fit together.
    pub fn open(runs: &[PathBuf], device: &Device, overlap: Option<f64>) -> Result<Self> {
        let with_overlap =
            |config: InferConfig| InferConfig { overlap: overlap.unwrap_or(config.overlap), ..config };
        if runs.iter().any(|run| PromptRun::exists_in(run)) {
            let [run] = runs else { return Err(Error::PromptedEnsemble) };
            let mut run = PromptRun::open(run)?;
            run.config.infer = with_overlap(run.config.infer);
            let predictor = run.predictor(device)?;
            return Ok(Self::Prompts { run, predictor });
        }
        let mut models = Vec::new();
        for run in runs {
            for folder in run_dirs(run)? {
                models.push(TrainedModel::open(&folder)?);
            }
        }
        let first = models.first().ok_or(Error::NoRun)?.clone();
        let predictor = TrainedModel::ensemble(&models, with_overlap(first.config.infer), device)?;
        Ok(Self::Classes { first, predictor })
    }

    /// Names of the classes of the training; of a prompted run those of its concepts without wholes.
    pub fn class_names(&self) -> Vec<String> {
        match self {
            Self::Classes { first, .. } => first.config.data.label_schema.names(),
            Self::Prompts { run, .. } => run.default_prompts(),
        }
    }

    /// Whether it is asked with prompts.
    pub fn is_prompted(&self) -> bool {
        matches!(self, Self::Prompts { .. })
    }

    /// The folder of the run, or of the first one.
    pub fn dir(&self) -> &Path {
        match self {
            Self::Classes { first, .. } => &first.dir,
            Self::Prompts { run, .. } => &run.dir,
        }
    }

    /// Whether a request fits the run: its prompts or classes, and the data set that it names.
    ///
    /// # Errors
    ///
    /// When it does not (see [`Error::is_request`]).
    pub fn check(&self, request: &SegmentationRequest) -> Result<()> {
        match self {
            Self::Classes { first, .. } => {
                if request.prompts.is_some() || request.like.is_some() {
                    return Err(Error::FixedClasses);
                }
                if let Some(classes) = &request.classes {
                    first.output_labels(classes, &Synonyms::builtin())?;
                }
            }
            Self::Prompts { run, .. } => {
                if request.classes.is_some() {
                    return Err(Error::OpenClasses);
                }
                if let Some(prompts) = &request.prompts {
                    check_prompts(prompts)?;
                }
                run.preprocess_like(request.like.as_deref())?;
            }
        }
        Ok(())
    }

    /// Segments one scan, a volume per channel. `path` names it in errors; `header` is what its result is written with.
    ///
    /// # Errors
    ///
    /// When the request does not fit the run (see [`Error::is_request`]), the scan has another number of channels or is
    /// too large, or `on_progress` breaks.
    pub fn segment(
        &self,
        mut channels: Vec<Volume<f32>>,
        path: &Path,
        header: Option<&Header>,
        request: &SegmentationRequest,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<ModelSegmentation> {
        self.check(request)?;
        ensure_finite(path, &channels)?;
        match self {
            Self::Classes { first, predictor } => {
                let mut predictor = predictor.clone();
                if let Some(classes) = &request.classes {
                    let labels = first.output_labels(classes, &Synonyms::builtin())?;
                    predictor = predictor.with_output_labels(labels);
                }
                if request.probabilities {
                    predictor = predictor.with_probabilities();
                }
                predictor.ensure_readable(path, &channels)?;
                let found = predictor.predict(channels, on_progress)?;
                Ok(ModelSegmentation::Classes(match header {
                    Some(header) => found.with_reference(header),
                    None => found,
                }))
            }
            Self::Prompts { run, predictor } => {
                if channels.len() != 1 {
                    return Err(Error::ChannelCount { path: path.to_owned(), found: channels.len() });
                }
                let prompts = request.prompts.clone().unwrap_or_else(|| run.default_prompts());
                let preprocess = run.preprocess_like(request.like.as_deref())?;
                preprocess.ensure_size(path, channels[0].grid())?;
                let mut predictor = predictor.clone();
                if request.probabilities {
                    predictor = predictor.with_probabilities();
                }
                let overlap = if request.exclusive { Overlap::Exclusive } else { Overlap::Allowed };
                let encoded = predictor.encode(&prompts);
                let scan = channels.remove(0);
                let found = predictor.segment(&encoded, scan, header, preprocess, overlap, on_progress)?;
                Ok(ModelSegmentation::Prompts(found))
            }
        }
    }
}

/// Files are checked where they are read; arrays come from anywhere.
fn ensure_finite(path: &Path, channels: &[Volume<f32>]) -> Result<()> {
    let values = || channels.iter().flat_map(|channel| channel.voxels().iter());
    let Some(first) = values().find(|value| !value.is_finite()) else { return Ok(()) };
    Err(Error::Imaging(bipvl_imaging::Error::NonFiniteIntensities {
        path: path.to_owned(),
        count: values().filter(|value| !value.is_finite()).count(),
        total: values().count(),
        first: f64::from(*first),
    }))
}

impl ModelSegmentation {
    /// The classes or prompts, with their values in the label map.
    pub fn segments(&self) -> Vec<Segment> {
        match self {
            Self::Classes(found) => found.segments().to_vec(),
            Self::Prompts(found) => found
                .findings()
                .into_iter()
                .map(|finding| Segment { name: finding.prompt, label: finding.value, code: None })
                .collect(),
        }
    }

    /// What each prompt found; `None` for classes.
    pub fn findings(&self) -> Option<Vec<Finding>> {
        match self {
            Self::Classes(_) => None,
            Self::Prompts(found) => Some(found.findings()),
        }
    }

    /// What was found of each class or prompt.
    pub fn found_segments(&self) -> Vec<FoundSegment> {
        if let Some(findings) = self.findings() {
            let segment = |finding: Finding| FoundSegment {
                name: finding.prompt,
                value: finding.value,
                found: finding.found,
                presence: finding.presence,
                volume_ml: finding.volume_ml,
            };
            return findings.into_iter().map(segment).collect();
        }
        let voxel_ml = self.grid().spacing().iter().product::<f64>() / 1000.0;
        let segment = |(index, Segment { name, label, .. }): (usize, Segment)| {
            let voxels = self.mask(index).voxels().iter().filter(|inside| **inside).count();
            let volume_ml = voxels as f64 * voxel_ml;
            FoundSegment { name, value: label, found: voxels > 0, presence: None, volume_ml }
        };
        self.segments().into_iter().enumerate().map(segment).collect()
    }

    /// The label map; where masks overlap the later one has the voxel.
    pub fn to_label_map(&self) -> LabelMap {
        match self {
            Self::Classes(found) => found.to_label_map(),
            Self::Prompts(found) => found.to_label_map(),
        }
    }

    /// The mask of a segment.
    ///
    /// # Panics
    ///
    /// When there is no such segment.
    pub fn mask(&self, segment: usize) -> Volume<bool> {
        match self {
            Self::Classes(found) => found.mask(segment),
            Self::Prompts(found) => found.mask(segment),
        }
    }

    /// The probabilities of each segment, if they were kept.
    pub fn probabilities(&self) -> Option<&[Volume<f32>]> {
        match self {
            Self::Classes(found) => found.probabilities(),
            Self::Prompts(found) => found.probabilities(),
        }
    }

    /// The grid of the scan.
    pub fn grid(&self) -> &Grid {
        match self {
            Self::Classes(found) => found.grid(),
            Self::Prompts(found) => found.grid(),
        }
    }

    /// Writes the files into a transaction.
    ///
    /// # Errors
    ///
    /// When an ending is unknown, a format cannot store the grid, or a file cannot be written.
    pub fn stage(&self, files: &SegmentationFiles, staged: &mut FileTransaction) -> Result<()> {
        match self {
            Self::Classes(found) => Ok(found.stage(files, staged)?),
            Self::Prompts(found) => found.stage(files, staged),
        }
    }
}
