//! What a prediction found, as arrays.

use std::path::PathBuf;

use bipvl_imaging::{Grid, SegmentationFiles, SegmentationVoxels, Volume};
use bipvl_io::FileTransaction;
use bipvl_prompts::PromptSegmentation;
use numpy::{PyArray3, PyArray4};
use pyo3::prelude::*;

use crate::{error, pool::compute};

/// The rows of an affine.
pub(crate) fn rows(grid: &Grid) -> [[f64; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|column| grid.affine()[(row, column)]))
}

pub(crate) enum Found {
    Classes(bipvl_imaging::Segmentation),
    Prompts(PromptSegmentation),
}

/// Masks of classes or prompts.
#[pyclass(frozen, module = "bipvl._bipvl")]
pub(crate) struct Segmentation(pub(crate) Found);

#[pymethods]
impl Segmentation {
    /// Names and values of the label map.
    fn segments(&self) -> Vec<(String, u16)> {
        match &self.0 {
            Found::Classes(found) => {
                found.segments().iter().map(|segment| (segment.name.clone(), segment.label)).collect()
            }
            Found::Prompts(found) => {
                found.findings().into_iter().map(|finding| (finding.prompt, finding.value)).collect()
            }
        }
    }

    /// What each prompt found, as JSON; `None` for classes.
    fn findings(&self) -> PyResult<Option<String>> {
        match &self.0 {
            Found::Classes(_) => Ok(None),
            Found::Prompts(found) => serde_json::to_string(&found.findings()).map(Some).map_err(error),
        }
    }

    /// The label map `[x, y, z]`; where masks overlap the later one has the voxel.
    fn labels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<u16>>> {
        let labels = compute(py, None, || match &self.0 {
            Found::Classes(found) => found.to_label_map().into_voxels(),
            Found::Prompts(found) => found.to_label_map().into_voxels(),
        })?;
        Ok(PyArray3::from_owned_array(py, labels))
    }

    /// The mask `[x, y, z]` of a segment.
    fn mask<'py>(&self, py: Python<'py>, segment: usize) -> PyResult<Bound<'py, PyArray3<bool>>> {
        let mask = compute(py, None, || match &self.0 {
            Found::Classes(found) => found.mask(segment).into_voxels(),
            Found::Prompts(found) => found.mask(segment).into_voxels(),
        })?;
        Ok(PyArray3::from_owned_array(py, mask))
    }

    /// Whether masks may overlap, so that the label map does not hold all of them.
    fn is_overlapping(&self) -> bool {
        match &self.0 {
            Found::Classes(found) => matches!(found.voxels(), SegmentationVoxels::Masks(_)),
            Found::Prompts(_) => true,
        }
    }

    /// The probabilities `[K, x, y, z]`, if they were kept.
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray4<f32>>>> {
        let kept = match &self.0 {
            Found::Classes(found) => found.probabilities(),
            Found::Prompts(found) => found.probabilities(),
        };
        let Some(kept) = kept else { return Ok(None) };
        let views: Vec<_> = kept.iter().map(|volume: &Volume<f32>| volume.voxels().view()).collect();
        let stacked = ndarray::stack(ndarray::Axis(0), &views).map_err(error)?;
        Ok(Some(PyArray4::from_owned_array(py, stacked)))
    }

    /// Voxel to mm, RAS+.
    fn affine(&self) -> [[f64; 4]; 4] {
        match &self.0 {
            Found::Classes(found) => rows(found.grid()),
            Found::Prompts(found) => rows(found.grid()),
        }
    }

    /// Writes the label map; the ending says the format.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let files = SegmentationFiles { label_map: Some(path), masks: Vec::new(), probabilities: Vec::new() };
        compute(py, None, || {
            let mut staged = FileTransaction::default();
            match &self.0 {
                Found::Classes(found) => found.stage(&files, &mut staged).map_err(error)?,
                Found::Prompts(found) => found.stage(&files, &mut staged).map_err(error)?,
            }
            staged.commit().map_err(error)
        })?
    }
}
