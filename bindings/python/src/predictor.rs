//! A trained run, kept in memory.

use std::path::PathBuf;

use bipvl_imaging::{Affine, Grid, Volume, probe};
use bipvl_infer::InferenceProgress;
use bipvl_nn::device::DeviceKind;
use bipvl_prompts::{Model, SegmentationRequest};
use numpy::{PyArray3, PyReadonlyArray3};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    error,
    pool::{Pool, compute, report},
    segmentation::{Segmentation, rows},
};

/// One run, a cross-validation, or several runs whose logits are averaged.
#[pyclass(frozen, module = "bipvl._bipvl")]
pub(crate) struct Predictor {
    model: Model,
    pool: Pool,
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
        let model = pool.run(py, |_| {
            let device = device.open().map_err(error)?;
            Model::open(&runs, &device, overlap).map_err(request_error)
        })??;
        Ok(Self { model, pool })
    }

    /// Names of the classes of the training; of a prompted run those of its concepts without wholes.
    fn classes(&self) -> Vec<String> {
        self.model.class_names()
    }

    /// Whether it is asked with prompts.
    fn is_prompted(&self) -> bool {
        self.model.is_prompted()
    }

    /// The configuration as TOML.
    fn config(&self) -> PyResult<String> {
        std::fs::read_to_string(self.model.dir().join("config.toml")).map_err(error)
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
        let request = SegmentationRequest { prompts, classes, like, exclusive, probabilities };
        let mut failure = None;
        let found = self.pool.run(py, |interrupt| {
            let mut report = |state: InferenceProgress| {
                report(interrupt, progress.as_ref(), (state.done, state.total), &mut failure)
            };
            let header = path.as_deref().map(probe).transpose().map_err(error)?;
            let path = path.unwrap_or_else(|| PathBuf::from("the image"));
            let found = self.model.segment(channels, &path, header.as_ref(), &request, &mut report);
            found.map_err(request_error)
        })?;
        match failure {
            Some(reason) => Err(reason),
            None => Ok(Segmentation(found?)),
        }
    }
}

/// `ValueError` for what was asked, else `bipvl.Error`.
fn request_error(reason: bipvl_prompts::Error) -> PyErr {
    if reason.is_request() { PyValueError::new_err(reason.to_string()) } else { error(reason) }
}

/// The channels of a scan, each `[x, y, z]`, and their affine in mm, RAS+.
type ChannelsAndAffine<'py> = (Vec<Bound<'py, PyArray3<f32>>>, [[f64; 4]; 4]);

/// Reads one scan: one file with all channels, or one file per channel.
#[pyfunction]
pub(crate) fn read_channels(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<ChannelsAndAffine<'_>> {
    let channels = compute(py, None, |_| bipvl_data::read_channels(&paths))?.map_err(error)?;
    let affine = rows(channels[0].grid());
    let arrays = channels.into_iter().map(|channel| PyArray3::from_owned_array(py, channel.into_voxels()));
    Ok((arrays.collect(), affine))
}
