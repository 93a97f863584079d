//! What a prediction found, as arrays.

use std::path::PathBuf;

use bipvl_imaging::{Grid, SegmentationFiles, SegmentationVoxels, Volume};
use bipvl_io::FileTransaction;
use bipvl_prompts::ModelSegmentation;
use numpy::{PyArray3, PyArray4};
use pyo3::prelude::*;

use crate::{error, pool::compute};

/// The rows of an affine.
pub(crate) fn rows(grid: &Grid) -> [[f64; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|column| grid.affine()[(row, column)]))
}

/// Masks of classes or prompts.
#[pyclass(frozen, module = "bipvl._bipvl")]
pub(crate) struct Segmentation(pub(crate) ModelSegmentation);

#[pymethods]
impl Segmentation {
    /// Names and values of the label map.
    fn segments(&self) -> Vec<(String, u16)> {
        self.0.segments().into_iter().map(|segment| (segment.name, segment.label)).collect()
    }

    /// What each prompt found, as JSON; `None` for classes.
    fn findings(&self) -> PyResult<Option<String>> {
        self.0.findings().map(|findings| serde_json::to_string(&findings).map_err(error)).transpose()
    }

    /// The label map `[x, y, z]`; where masks overlap the later one has the voxel.
    fn labels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<u16>>> {
        let labels = compute(py, None, |_| self.0.to_label_map().into_voxels())?;
        Ok(PyArray3::from_owned_array(py, labels))
    }

    /// The mask `[x, y, z]` of a segment.
    fn mask<'py>(&self, py: Python<'py>, segment: usize) -> PyResult<Bound<'py, PyArray3<bool>>> {
        let mask = compute(py, None, |_| self.0.mask(segment).into_voxels())?;
        Ok(PyArray3::from_owned_array(py, mask))
    }

    /// Whether masks may overlap, so that the label map does not hold all of them.
    fn is_overlapping(&self) -> bool {
        match &self.0 {
            ModelSegmentation::Classes(found) => matches!(found.voxels(), SegmentationVoxels::Masks(_)),
            ModelSegmentation::Prompts(_) => true,
        }
    }

    /// The probabilities `[K, x, y, z]`, if they were kept.
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray4<f32>>>> {
        let Some(kept) = self.0.probabilities() else { return Ok(None) };
        let views: Vec<_> = kept.iter().map(|volume: &Volume<f32>| volume.voxels().view()).collect();
        let stacked = ndarray::stack(ndarray::Axis(0), &views).map_err(error)?;
        Ok(Some(PyArray4::from_owned_array(py, stacked)))
    }

    /// Voxel to mm, RAS+.
    fn affine(&self) -> [[f64; 4]; 4] {
        rows(self.0.grid())
    }

    /// Writes the label map; the ending says the format.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let files = SegmentationFiles { label_map: Some(path), masks: Vec::new(), probabilities: Vec::new() };
        compute(py, None, |_| {
            let mut staged = FileTransaction::default();
            self.0.stage(&files, &mut staged).map_err(error)?;
            staged.commit().map_err(error)
        })?
    }
}
