//! A trained run, kept in memory.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bipvl_imaging::{Affine, Grid, Header, Volume, probe};
use bipvl_infer::{InferConfig, InferenceProgress, TrainedModel, run_dirs};
use bipvl_nn::device::DeviceKind;
use bipvl_prompts::{Overlap, PromptPredictor, PromptRun, reading::check_prompts};
use bipvl_text::Synonyms;
use numpy::{PyArray3, PyReadonlyArray3};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    error,
    pool::{Pool, compute},
    segmentation::{Found, Segmentation, rows},
};

#[expect(clippy::large_enum_variant, reason = "there is one per predictor")]
enum Kind {
    Classes { first: TrainedModel, predictor: bipvl_infer::Predictor },
    Prompts { run: PromptRun, predictor: PromptPredictor },
}

/// One run, a cross-validation, or several runs whose logits are averaged.
#[pyclass(frozen, module = "bipvl._bipvl")]
pub(crate) struct Predictor {
    kind: Kind,
    pool: Pool,
}

/// What a call of [`Predictor::segment`] wants.
struct Request {
    prompts: Option<Vec<String>>,
    classes: Option<Vec<String>>,
    like: Option<String>,
    exclusive: bool,
    probabilities: bool,
}

#[pymethods]
impl Predictor {
    #[new]
    fn new(
        py: Python<'_>,
        runs: Vec<PathBuf>,
        device: &str,
        threads: Option<usize>,
        overlap: Option<f64>,
    ) -> PyResult<Self> {
        let device = match device {
            "cpu" => DeviceKind::Cpu,
            "vulkan" => DeviceKind::Vulkan,
            "cuda" => DeviceKind::Cuda,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "device {device:?}: expected cpu, vulkan or cuda"
                )));
            }
        };
        if let Some(overlap) = overlap.filter(|overlap| !(0.0..1.0).contains(overlap)) {
            return Err(PyValueError::new_err(format!(
                "overlap must be at least 0 and below 1, not {overlap}"
            )));
        }
        let pool = Pool::new(threads);
        let kind = pool.run(py, || Kind::open(&runs, device, overlap))??;
        Ok(Self { kind, pool })
    }

    /// Names of the classes of the training; of a prompted run those of its concepts without wholes.
    fn classes(&self) -> Vec<String> {
        match &self.kind {
            Kind::Classes { first, .. } => first.config.data.label_schema.names(),
            Kind::Prompts { run, .. } => run.default_prompts(),
        }
    }

    /// Whether it is asked with prompts.
    fn is_prompted(&self) -> bool {
        matches!(self.kind, Kind::Prompts { .. })
    }

    /// The configuration as TOML.
    fn config(&self) -> PyResult<String> {
        let dir = match &self.kind {
            Kind::Classes { first, .. } => &first.dir,
            Kind::Prompts { run, .. } => &run.dir,
        };
        std::fs::read_to_string(dir.join("config.toml")).map_err(error)
    }

    /// Segments one scan: channels `[x, y, z]` with one affine. `path` names it in errors and gives the header that its
    /// result is written with. `progress(done, total)` is called after each patch.
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn segment(
        &self,
        py: Python<'_>,
        channels: Vec<PyReadonlyArray3<'_, f32>>,
        affine: [[f64; 4]; 4],
        path: Option<PathBuf>,
        prompts: Option<Vec<String>>,
        classes: Option<Vec<String>>,
        like: Option<String>,
        exclusive: bool,
        probabilities: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Segmentation> {
        let affine = Affine::from_fn(|row, column| affine[row][column]);
        let channels: Vec<Volume<f32>> = channels
            .iter()
            .map(|channel| channel.as_array().to_owned())
            .map(|voxels| {
                Volume::new(voxels.as_standard_layout().into_owned(), Grid::new(voxels.dim().into(), affine))
            })
            .collect();
        let request = Request { prompts, classes, like, exclusive, probabilities };
        let mut interruption = None;
        let mut report = |state: InferenceProgress| {
            let called = Python::attach(|py| {
                py.check_signals()?;
                progress
                    .as_ref()
                    .map_or(Ok(()), |progress| progress.call1(py, (state.done, state.total)).map(|_| ()))
            });
            match called {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => {
                    interruption = Some(reason);
                    ControlFlow::Break(())
                }
            }
        };
        let found = self.pool.run(py, || {
            let header = path.as_deref().map(probe).transpose().map_err(error)?;
            let path = path.unwrap_or_else(|| PathBuf::from("the image"));
            self.kind.segment(channels, &path, header.as_ref(), &request, &mut report)
        })?;
        match interruption {
            Some(reason) => Err(reason),
            None => Ok(Segmentation(found?)),
        }
    }
}

impl Kind {
    fn open(runs: &[PathBuf], device: DeviceKind, overlap: Option<f64>) -> PyResult<Self> {
        let with_overlap =
            |config: InferConfig| InferConfig { overlap: overlap.unwrap_or(config.overlap), ..config };
        let device = device.open().map_err(error)?;
        if runs.iter().any(|run| PromptRun::exists_in(run)) {
            let [run] = runs else {
                return Err(PyValueError::new_err("prompted runs are not averaged; give one"));
            };
            let mut run = PromptRun::open(run).map_err(error)?;
            run.config.infer = with_overlap(run.config.infer);
            let predictor = run.predictor(&device).map_err(error)?;
            return Ok(Self::Prompts { run, predictor });
        }
        let folders: Vec<Vec<PathBuf>> =
            runs.iter().map(|run| run_dirs(run)).collect::<Result<_, _>>().map_err(error)?;
        let models: Vec<TrainedModel> = folders
            .concat()
            .iter()
            .map(|run| TrainedModel::open(run))
            .collect::<Result<_, _>>()
            .map_err(error)?;
        let Some(first) = models.first() else { return Err(PyValueError::new_err("no run is given")) };
        let config = with_overlap(first.config.infer);
        let predictor = TrainedModel::ensemble(&models, config, &device).map_err(error)?;
        Ok(Self::Classes { first: first.clone(), predictor })
    }

    fn segment(
        &self,
        mut channels: Vec<Volume<f32>>,
        path: &Path,
        header: Option<&Header>,
        request: &Request,
        report: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> PyResult<Found> {
        match self {
            Self::Classes { first, predictor } => {
                if request.prompts.is_some() {
                    let message = "the run has fixed classes; choose among them with classes (prompts need \
                                   model.head = \"prompts\")";
                    return Err(PyValueError::new_err(message));
                }
                let mut predictor = predictor.clone();
                if let Some(classes) = &request.classes {
                    let labels = first.output_labels(classes, &Synonyms::builtin());
                    predictor = predictor.with_output_labels(
                        labels.map_err(|reason| PyValueError::new_err(reason.to_string()))?,
                    );
                }
                if request.probabilities {
                    predictor = predictor.with_probabilities();
                }
                predictor.ensure_readable(path, &channels).map_err(error)?;
                let found = predictor.predict(channels, report).map_err(error)?;
                Ok(Found::Classes(match header {
                    Some(header) => found.with_reference(header),
                    None => found,
                }))
            }
            Self::Prompts { run, predictor } => {
                if request.classes.is_some() {
                    return Err(PyValueError::new_err("the run is asked with prompts, not with classes"));
                }
                if channels.len() != 1 {
                    let message =
                        format!("{}: {} channels, but the network reads one", path.display(), channels.len());
                    return Err(PyValueError::new_err(message));
                }
                let prompts = request.prompts.clone().unwrap_or_else(|| run.default_prompts());
                check_prompts(&prompts).map_err(|reason| PyValueError::new_err(reason.to_string()))?;
                let preprocess = run.preprocess_like(request.like.as_deref());
                let preprocess = preprocess.map_err(|reason| PyValueError::new_err(reason.to_string()))?;
                preprocess.ensure_size(path, channels[0].grid()).map_err(error)?;
                let mut predictor = predictor.clone();
                if request.probabilities {
                    predictor = predictor.with_probabilities();
                }
                let overlap = if request.exclusive { Overlap::Exclusive } else { Overlap::Allowed };
                let encoded = predictor.encode(&prompts);
                let scan = channels.remove(0);
                predictor
                    .segment(&encoded, scan, header, preprocess, overlap, report)
                    .map(Found::Prompts)
                    .map_err(error)
            }
        }
    }
}

/// The channels of a scan, each `[x, y, z]`, and their affine in mm, RAS+.
type ChannelsAndAffine<'py> = (Vec<Bound<'py, PyArray3<f32>>>, [[f64; 4]; 4]);

/// Reads one scan: one file with all channels, or one file per channel.
#[pyfunction]
pub(crate) fn read_channels(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<ChannelsAndAffine<'_>> {
    let channels = compute(py, None, || bipvl_data::read_channels(&paths))?.map_err(error)?;
    let affine = rows(channels[0].grid());
    let arrays = channels.into_iter().map(|channel| PyArray3::from_owned_array(py, channel.into_voxels()));
    Ok((arrays.collect(), affine))
}
