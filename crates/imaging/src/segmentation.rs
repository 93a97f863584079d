//! The result of a segmentation: exclusive labels or one mask per class, with names and codes.

use std::path::{Path, PathBuf};

use bipvl_io::FileTransaction;
use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::{
    Grid, Header, LabelMap, NiftiForms, QuantizedProbability, Result, Volume, WriteOptions, formats,
};

/// A segmentation of a reference image.
///
/// Overlapping classes are kept as masks until a file format needs a [label map](Self::to_label_map).
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    voxels: SegmentationVoxels,
    segments: Vec<Segment>,
    probabilities: Option<Vec<Volume<f32>>>,
    grid: Grid,
    nifti_forms: Option<NiftiForms>,
}

/// The files of a [`Segmentation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentationFiles {
    /// The label map, if wanted.
    pub label_map: Option<PathBuf>,
    /// One file per segment, 1 inside and 0 outside; empty for none.
    pub masks: Vec<PathBuf>,
    /// One file per segment with its probabilities, [quantized and cropped](QuantizedProbability::cropped); empty for none.
    pub probabilities: Vec<PathBuf>,
}

impl SegmentationFiles {
    /// All files; the label map is last, so that a segmentation with a label map is complete.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.masks.iter().chain(&self.probabilities).chain(&self.label_map)
    }
}

/// The voxels of a [`Segmentation`].
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there is one per image")]
pub enum SegmentationVoxels {
    /// Exclusive classes; a voxel has the label of its segment, or 0.
    Labels(LabelMap),
    /// Classes that may overlap: a mask per segment, in the order of the segments.
    Masks(Vec<Volume<bool>>),
}

/// One class of a [`Segmentation`]; "segment" as in DICOM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Name of the class.
    pub name: String,
    /// Its value in a label map; not 0.
    pub label: u16,
    /// Its code in a terminology, if known.
    pub code: Option<Code>,
}

/// A code of a terminology, as a DICOM code sequence stores it (PS3.3, section 8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Coding scheme designator, such as `SCT` for SNOMED CT.
    pub scheme: String,
    /// Code value, such as `10200004`.
    pub value: String,
    /// Code meaning, such as `Liver`.
    pub meaning: String,
}

impl Segmentation {
    /// A segmentation with exclusive classes.
    pub fn from_labels(labels: LabelMap, segments: Vec<Segment>) -> Self {
        let grid = labels.grid().clone();
        Self::new(SegmentationVoxels::Labels(labels), segments, grid)
    }

    /// A segmentation on `grid` with a mask per segment.
    ///
    /// # Panics
    ///
    /// When the numbers of masks and segments differ, or a mask is on another grid.
    pub fn from_masks(grid: Grid, masks: Vec<Volume<bool>>, segments: Vec<Segment>) -> Self {
        assert_eq!(masks.len(), segments.len(), "every segment has a mask");
        assert!(
            masks.iter().all(|mask| *mask.grid() == grid),
            "all masks are on the grid of the segmentation"
        );
        Self::new(SegmentationVoxels::Masks(masks), segments, grid)
    }

    fn new(voxels: SegmentationVoxels, segments: Vec<Segment>, grid: Grid) -> Self {
        Self { voxels, segments, probabilities: None, grid, nifti_forms: None }
    }

    /// Adds the probability of each segment.
    ///
    /// # Panics
    ///
    /// When the numbers of volumes and segments differ, or a volume is on another grid.
    #[must_use]
    pub fn with_probabilities(mut self, probabilities: Vec<Volume<f32>>) -> Self {
        assert_eq!(probabilities.len(), self.segments.len(), "every segment has probabilities");
        assert!(
            probabilities.iter().all(|volume| *volume.grid() == self.grid),
            "all probabilities are on the grid of the segmentation"
        );
        self.probabilities = Some(probabilities);
        self
    }

    /// Remembers what a writer needs of the header of the reference image.
    #[must_use]
    pub fn with_reference(mut self, header: &Header) -> Self {
        self.nifti_forms.clone_from(&header.nifti_forms);
        self
    }

    /// The classes.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The voxels as predicted.
    pub fn voxels(&self) -> &SegmentationVoxels {
        &self.voxels
    }

    /// The probability of each segment, if they were kept: after the softmax, or the sigmoid if classes overlap, and
    /// before any post-processing.
    pub fn probabilities(&self) -> Option<&[Volume<f32>]> {
        self.probabilities.as_deref()
    }

    /// The grid of the reference image.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// qform and sform of a NIfTI reference image.
    pub fn nifti_forms(&self) -> Option<&NiftiForms> {
        self.nifti_forms.as_ref()
    }

    /// One label per voxel; where masks overlap, the later segment wins.
    pub fn to_label_map(&self) -> LabelMap {
        match &self.voxels {
            SegmentationVoxels::Labels(labels) => labels.clone(),
            SegmentationVoxels::Masks(masks) => self.flatten(masks),
        }
    }

    /// [`Self::to_label_map`] by value, without a copy for exclusive classes.
    pub fn into_label_map(self) -> LabelMap {
        match self.voxels {
            SegmentationVoxels::Labels(labels) => labels,
            SegmentationVoxels::Masks(ref masks) => self.flatten(masks),
        }
    }

    /// The mask of the segment at `index`.
    ///
    /// # Panics
    ///
    /// When there is no such segment.
    pub fn mask(&self, index: usize) -> Volume<bool> {
        match &self.voxels {
            SegmentationVoxels::Labels(labels) => labels.map(|label| *label == self.segments[index].label),
            SegmentationVoxels::Masks(masks) => masks[index].clone(),
        }
    }

    /// Writes the label map, with qform and sform of the reference image where the format has them.
    ///
    /// # Errors
    ///
    /// As [`crate::write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let (masks, probabilities) = (Vec::new(), Vec::new());
        self.write_files(&SegmentationFiles { label_map: Some(path.to_owned()), masks, probabilities })
    }

    /// Writes what there are paths for: the label map, a mask and the probabilities of each segment; all files or none.
    ///
    /// # Errors
    ///
    /// As [`crate::write`].
    ///
    /// # Panics
    ///
    /// When the numbers of paths and segments differ, or there are paths for probabilities that were not kept.
    pub fn write_files(&self, files: &SegmentationFiles) -> Result<()> {
        let mut staged = FileTransaction::default();
        self.stage(files, &mut staged)?;
        Ok(staged.commit()?)
    }

    /// [`Self::write_files`] into a transaction.
    ///
    /// # Errors
    ///
    /// As [`crate::write`].
    ///
    /// # Panics
    ///
    /// As [`Self::write_files`].
    pub fn stage(&self, files: &SegmentationFiles, staged: &mut FileTransaction) -> Result<()> {
        let count = self.segments.len();
        for paths in [&files.masks, &files.probabilities] {
            assert!(paths.is_empty() || paths.len() == count, "one path per segment");
        }
        let options = WriteOptions { nifti_forms: self.nifti_forms.as_ref(), ..WriteOptions::default() };
        for (index, path) in files.masks.iter().enumerate() {
            formats::stage(staged, path, &self.mask(index), &options)?;
        }
        for (index, path) in files.probabilities.iter().enumerate() {
            let probabilities = self.probabilities.as_ref().expect("the probabilities were kept");
            let cropped = QuantizedProbability::cropped(&probabilities[index]);
            formats::stage(staged, path, &cropped, &options)?;
        }
        match (&files.label_map, &self.voxels) {
            (Some(path), SegmentationVoxels::Labels(labels)) => {
                formats::stage(staged, path, labels, &options)
            }
            (Some(path), SegmentationVoxels::Masks(masks)) => {
                formats::stage(staged, path, &self.flatten(masks), &options)
            }
            (None, _) => Ok(()),
        }
    }

    fn flatten(&self, masks: &[Volume<bool>]) -> LabelMap {
        let mut labels = LabelMap::new(ndarray::Array3::zeros(self.grid.shape()), self.grid.clone());
        for (mask, segment) in masks.iter().zip(&self.segments) {
            Zip::from(labels.voxels_mut()).and(mask.voxels()).par_for_each(|label, is_inside| {
                if *is_inside {
                    *label = segment.label;
                }
            });
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn segment(name: &str, label: u16) -> Segment {
        Segment { name: name.to_owned(), label, code: None }
    }

    fn row<T: Clone>(values: &[T]) -> Volume<T> {
        let shape = [values.len(), 1, 1];
        let voxels = Array3::from_shape_vec(shape, values.to_vec()).unwrap();
        Volume::new(voxels, Grid::with_spacing(shape, [1.0; 3]))
    }

    #[test]
    fn overlapping_masks_are_kept_and_the_later_one_wins_in_the_label_map() {
        let masks = vec![row(&[true, true, false, false]), row(&[false, true, true, false])];
        let grid = masks[0].grid().clone();
        let segmentation =
            Segmentation::from_masks(grid, masks.clone(), vec![segment("whole", 5), segment("core", 2)]);
        assert_eq!([segmentation.mask(0), segmentation.mask(1)], [masks[0].clone(), masks[1].clone()]);
        assert_eq!(segmentation.to_label_map(), row(&[5, 2, 2, 0]));
        assert_eq!(segmentation.into_label_map(), row(&[5, 2, 2, 0]));
    }

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let masks = vec![row(&[true, true, false]), row(&[false, true, true])];
        let probabilities = vec![row(&[0.5, 1.0, 0.25]), row(&[0.0, 0.75, 0.5])];
        let segmentation = Segmentation::from_masks(
            masks[0].grid().clone(),
            masks.clone(),
            vec![segment("whole", 5), segment("core", 2)],
        )
        .with_probabilities(probabilities.clone());
        let mut files = SegmentationFiles {
            label_map: Some(path("a.nii.gz")),
            masks: vec![path("whole.nrrd"), path("core.mha")],
            probabilities: vec![path("p_whole.nii"), path("missing/p_core.nii")],
        };
        segmentation.write_files(&files).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        files.probabilities[1] = path("p_core.nii");
        segmentation.write_files(&files).unwrap();
        assert_eq!(crate::read_labels(&path("a.nii.gz")).unwrap(), row(&[5, 2, 2]));
        for (index, mask) in masks.iter().enumerate() {
            assert_eq!(
                crate::read_labels(&files.masks[index]).unwrap(),
                mask.map(|inside| u16::from(*inside))
            );
            let image = crate::read(&files.probabilities[index]).unwrap();
            assert_eq!(image.header.voxel_type, crate::VoxelType::U8);
            let steps = QuantizedProbability::cropped(&probabilities[index]);
            assert_eq!(image.channels[0], steps.map(|QuantizedProbability(steps)| f32::from(*steps) / 255.0));
        }
    }

    #[test]
    fn exclusive_labels_give_a_mask_per_segment() {
        let labels = row(&[0, 3, 7, 3]);
        let segmentation = Segmentation::from_labels(labels.clone(), vec![segment("a", 7), segment("b", 3)]);
        assert_eq!(segmentation.mask(1), row(&[false, true, false, true]));
        assert_eq!(segmentation.to_label_map(), labels);
    }
}
