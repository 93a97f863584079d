//! What prompts found in a scan.

use bipvl_imaging::{
    Grid, Header, LabelMap, NiftiForms, QuantizedProbability, SegmentationFiles, Volume, WriteOptions,
    formats::stage,
};
use bipvl_infer::{MAX_OVERLAPPING_CLASSES, MaskVoxels};
use bipvl_io::FileTransaction;
use ndarray::Array3;
use serde::Serialize;

use crate::{Result, validate::MIN_FOUND_VOXELS};

/// One mask per prompt on the grid of the scan; 32 masks share the memory of one volume of `u32`.
#[derive(Debug)]
pub struct PromptSegmentation {
    voxels: Vec<MaskVoxels>,
    grid: Grid,
    prompts: Vec<String>,
    presence: Vec<f32>,
    /// Voxels of each mask as decided.
    counts: Vec<usize>,
    probabilities: Option<Vec<Volume<f32>>>,
    nifti_forms: Option<NiftiForms>,
}

/// What one prompt found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its value in the label map.
    pub value: u16,
    /// Its words.
    pub prompt: String,
    /// Probability that the scan shows it, from 0 to 1; `None` where the network has no such output.
    pub presence: Option<f32>,
    /// Voxels of its mask; fewer than 8 are none.
    pub voxels: usize,
    /// Volume of its mask in ml, rounded to a cubic millimeter.
    pub volume_ml: f64,
    /// Whether anything was found.
    pub found: bool,
}

impl PromptSegmentation {
    /// Masks in groups of [`MAX_OVERLAPPING_CLASSES`], or one group of exclusive labels; `presence` are logits.
    pub(crate) fn new(
        voxels: Vec<MaskVoxels>,
        grid: Grid,
        prompts: Vec<String>,
        presence: Vec<f32>,
        header: Option<&Header>,
    ) -> Self {
        let nifti_forms = header.and_then(|header| header.nifti_forms);
        let counts = counts(&voxels, prompts.len());
        Self { voxels, grid, prompts, presence, counts, probabilities: None, nifti_forms }
    }

    pub(crate) fn with_probabilities(self, probabilities: Vec<Volume<f32>>) -> Self {
        Self { probabilities: Some(probabilities), ..self }
    }

    /// The probability of each prompt in every voxel, if they were kept: the sigmoid of its logit, lowered by presence.
    /// They are not changed where prompts exclude each other or a mask is left out for its size.
    pub fn probabilities(&self) -> Option<&[Volume<f32>]> {
        self.probabilities.as_deref()
    }

    /// The grid of the scan.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// qform and sform of a NIfTI scan.
    pub fn nifti_forms(&self) -> Option<&NiftiForms> {
        self.nifti_forms.as_ref()
    }

    /// The words of the prompts.
    pub fn prompts(&self) -> &[String] {
        &self.prompts
    }

    /// The mask of a prompt.
    ///
    /// # Panics
    ///
    /// When there is no such prompt.
    pub fn mask(&self, prompt: usize) -> Volume<bool> {
        assert!(prompt < self.prompts.len(), "prompt {prompt} of {}", self.prompts.len());
        let voxels = if self.is_empty(prompt) {
            Array3::from_elem(self.grid.shape(), false)
        } else {
            self.voxels_of(prompt)
        };
        Volume::new(voxels, self.grid.clone())
    }

    fn voxels_of(&self, prompt: usize) -> Array3<bool> {
        match &self.voxels[..] {
            [MaskVoxels::Labels(labels)] => labels.mapv(|label| usize::from(label) == prompt + 1),
            groups => match &groups[prompt / MAX_OVERLAPPING_CLASSES] {
                MaskVoxels::Sets(sets) => sets.mapv(|set| set >> (prompt % MAX_OVERLAPPING_CLASSES) & 1 == 1),
                MaskVoxels::Labels(_) => unreachable!("exclusive masks are one group"),
            },
        }
    }

    fn is_empty(&self, prompt: usize) -> bool {
        self.counts[prompt] < MIN_FOUND_VOXELS
    }

    /// What each prompt found, with the values of [`Self::to_label_map`].
    pub fn findings(&self) -> Vec<Finding> {
        let voxel_ml = self.grid.spacing().iter().product::<f64>() / 1000.0;
        let finding = |(place, voxels): (usize, usize)| {
            let found = voxels >= MIN_FOUND_VOXELS;
            let voxels = if found { voxels } else { 0 };
            Finding {
                value: place as u16 + 1,
                prompt: self.prompts[place].clone(),
                presence: Some(self.presence[place]).filter(|logit| logit.is_finite()).map(probability),
                voxels,
                volume_ml: (voxels as f64 * voxel_ml * 1000.0).round() / 1000.0,
                found,
            }
        };
        self.counts.iter().copied().enumerate().map(finding).collect()
    }

    /// Value `i + 1` for prompt `i`; where masks overlap, the later prompt wins. Masks of fewer than 8 voxels are left out.
    pub fn to_label_map(&self) -> LabelMap {
        let is_found: Vec<bool> = self.counts.iter().map(|count| *count >= MIN_FOUND_VOXELS).collect();
        let mut labels = Array3::zeros(self.grid.shape());
        for (group, voxels) in self.voxels.iter().enumerate() {
            let first = group * MAX_OVERLAPPING_CLASSES;
            match voxels {
                MaskVoxels::Labels(exclusive) => {
                    labels = exclusive
                        .mapv(|label| if label > 0 && is_found[usize::from(label) - 1] { label } else { 0 });
                }
                MaskVoxels::Sets(sets) => {
                    let members = is_found.iter().skip(first).take(MAX_OVERLAPPING_CLASSES).enumerate();
                    let found = members.fold(0_u32, |bits, (bit, found)| bits | u32::from(*found) << bit);
                    labels.zip_mut_with(sets, |label, set| {
                        if let Some(highest) = (set & found).checked_ilog2() {
                            *label = (first + highest as usize) as u16 + 1;
                        }
                    });
                }
            }
        }
        LabelMap::new(labels, self.grid.clone())
    }
}

impl PromptSegmentation {
    /// Stages what there are paths for: the label map, a mask and the probabilities of each prompt.
    ///
    /// # Errors
    ///
    /// As [`bipvl_imaging::write`].
    ///
    /// # Panics
    ///
    /// When the numbers of paths and prompts differ, or there are paths for probabilities that were not kept.
    pub fn stage(&self, files: &SegmentationFiles, staged: &mut FileTransaction) -> Result<()> {
        let count = self.prompts.len();
        for paths in [&files.masks, &files.probabilities] {
            assert!(paths.is_empty() || paths.len() == count, "one path per prompt");
        }
        let options = WriteOptions { nifti_forms: self.nifti_forms.as_ref(), ..WriteOptions::default() };
        for (prompt, path) in files.masks.iter().enumerate() {
            stage(staged, path, &self.mask(prompt), &options)?;
        }
        for (prompt, path) in files.probabilities.iter().enumerate() {
            let probabilities = self.probabilities.as_ref().expect("the probabilities were kept");
            stage(staged, path, &QuantizedProbability::cropped(&probabilities[prompt]), &options)?;
        }
        if let Some(path) = &files.label_map {
            stage(staged, path, &self.to_label_map(), &options)?;
        }
        Ok(())
    }
}

/// Voxels of each mask as decided.
fn counts(groups: &[MaskVoxels], prompts: usize) -> Vec<usize> {
    let mut counts = vec![0; prompts];
    for (group, voxels) in groups.iter().enumerate() {
        let first = group * MAX_OVERLAPPING_CLASSES;
        match voxels {
            MaskVoxels::Labels(labels) => labels
                .iter()
                .filter(|label| **label > 0)
                .for_each(|label| counts[usize::from(*label) - 1] += 1),
            MaskVoxels::Sets(sets) => {
                for mut set in sets.iter().copied() {
                    while set != 0 {
                        counts[first + set.trailing_zeros() as usize] += 1;
                        set &= set - 1;
                    }
                }
            }
        }
    }
    counts
}

fn probability(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use bipvl_imaging::Affine;

    use super::*;

    fn grid() -> Grid {
        Grid::new([10, 1, 1], Affine::identity().scale(2.0))
    }

    fn segmentation(sets: [u32; 10]) -> PromptSegmentation {
        let voxels = vec![MaskVoxels::Sets(Array3::from_shape_vec((10, 1, 1), sets.to_vec()).unwrap())];
        let prompts = ["one", "two"].map(str::to_owned).to_vec();
        PromptSegmentation::new(voxels, grid(), prompts, vec![0.0, f32::INFINITY], None)
    }

    #[test]
    fn the_later_of_two_overlapping_prompts_wins() {
        let found = segmentation([1, 1, 3, 3, 3, 3, 3, 3, 3, 3]);
        let labels = found.to_label_map();
        assert_eq!(labels.voxels().iter().copied().collect::<Vec<u16>>(), [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(found.mask(0).voxels().iter().filter(|voxel| **voxel).count(), 10);
        let findings = found.findings();
        // Ten voxels of 2 mm are 80 mm³.
        assert!((findings[0].volume_ml - 0.08).abs() < 1e-12 && findings[0].presence == Some(0.5));
        assert!(findings[1].presence.is_none());
    }

    #[test]
    fn fewer_than_eight_voxels_are_nothing() {
        let found = segmentation([2, 2, 2, 2, 2, 2, 2, 0, 0, 0]);
        assert!(found.to_label_map().voxels().iter().all(|label| *label == 0));
        assert!(found.findings().iter().all(|finding| !finding.found && finding.voxels == 0));
        assert!(found.mask(1).voxels().iter().all(|voxel| !voxel));
    }
}
