//! Preprocessing for training and inference: orientation, spacing, intensities, crop, padding.

use std::path::{Path, PathBuf};

use bipvl_imaging::{
    BoundingBox, Grid, LabelMap, LabelSchema, Orientation, PaddingMode, Volume, crop_or_pad, into_ras, read,
    resample, resample_labels,
};
use ndarray::{Array3, Array4, Axis};
use serde::{Deserialize, Serialize};

use super::{Case, Dataset, Modality, read_reference};
use crate::{Error, Result};

/// Preprocessing of a case, in the order orientation (RAS), spacing, intensities, crop, padding. Saved with the
/// weights, and identical in training and inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessConfig {
    /// Millimeters per voxel along x, y, z (RAS) after resampling; absent, the spacing of the file is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<[f64; 3]>,
    /// Intensity normalization.
    pub intensity: Intensity,
    /// Whether to crop to the bounding box of voxels that are not zero in a normalized channel: those above `a_min`,
    /// or for z-scores those that were not zero before.
    pub crop_foreground: bool,
    /// Patch size of the network; smaller volumes are zero-padded on both sides to it.
    pub patch_size: [usize; 3],
}

/// Intensity normalization, per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Intensity {
    /// Clips to `a_min..=a_max` and scales to 0..=1 (MONAI `ScaleIntensityRange` with `clip`); Hounsfield units for CT.
    ClipAndScale {
        /// The intensity mapped to 0.
        a_min: f32,
        /// The intensity mapped to 1.
        a_max: f32,
    },
    /// Subtracts the mean and divides by the population standard deviation of the voxels that are not zero (MONAI
    /// `NormalizeIntensity` with `nonzero`); zeros are kept, and a standard deviation of 0 counts as 1.
    ZScore,
}

/// A case after preprocessing.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessedCase {
    /// Normalized intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// The grid of the image, in RAS; resampling from it to the grid of the file inverts the preprocessing.
    pub grid: Grid,
}

impl PreprocessConfig {
    /// The paper's preprocessing of abdominal CT (1.5 × 1.5 × 2 mm, −175 to 250 HU), or z-scores at the spacing of the
    /// file for magnetic resonance.
    pub fn for_modality(modality: Modality, patch_size: [usize; 3]) -> Self {
        let (spacing, intensity) = match modality {
            Modality::Ct => (Some([1.5, 1.5, 2.0]), Intensity::ClipAndScale { a_min: -175.0, a_max: 250.0 }),
            Modality::Mr => (None, Intensity::ZScore),
        };
        Self { spacing, intensity, crop_foreground: true, patch_size }
    }

    /// Checks the values; `path` is the configuration, for messages.
    ///
    /// # Errors
    ///
    /// When a spacing is not positive, `a_min` is not below `a_max`, or the patch is empty.
    pub fn check(&self, path: &Path) -> Result<()> {
        let is_length = |length: &f64| length.is_finite() && *length > 0.0;
        if let Some(spacing) = self.spacing.filter(|spacing| !spacing.iter().all(is_length)) {
            return Err(Error::invalid_value(path, "preprocess.spacing", "above 0", format!("{spacing:?}")));
        }
        if let Intensity::ClipAndScale { a_min, a_max } = self.intensity
            && !(a_min.is_finite() && a_max.is_finite() && a_min < a_max)
        {
            let (key, found) = ("preprocess.intensity.clip_and_scale", format!("{a_min} and {a_max}"));
            return Err(Error::invalid_value(path, key, "a_min below a_max, both finite", found));
        }
        if self.patch_size.contains(&0) {
            let found = format!("{:?}", self.patch_size);
            return Err(Error::invalid_value(
                path,
                "preprocess.patch_size",
                "at least one voxel per axis",
                found,
            ));
        }
        Ok(())
    }

    /// Checks that an image on `grid` is not too large after resampling; `path` is the image, for messages.
    ///
    /// # Errors
    ///
    /// When it is, which is mostly due to a wrong unit of the spacing in the file.
    pub fn ensure_size(&self, path: &Path, grid: &Grid) -> Result<()> {
        let Some(spacing) = self.spacing else { return Ok(()) };
        let along_own_axes = Orientation::of(grid).world_axes().map(|axis| spacing[axis]);
        match grid.checked_resampled_to(along_own_axes) {
            Ok(_) => Ok(()),
            Err(reason) => Err(Error::TooLarge { path: path.to_owned(), reason }),
        }
    }

    /// Preprocesses the channels of one case, which share a grid; by value, which bounds the memory.
    ///
    /// # Panics
    ///
    /// When there is no channel or the channels have different grids.
    pub fn prepare(&self, channels: Vec<Volume<f32>>) -> PreprocessedCase {
        let channels: Vec<Volume<f32>> =
            channels.into_iter().map(|channel| self.prepare_channel(channel)).collect();
        let grid = channels.first().expect("a case has at least one channel").grid();
        assert!(channels.iter().all(|channel| channel.grid().approx_eq(grid)), "channels share a grid");
        let foreground = if self.crop_foreground { foreground(&channels) } else { None };
        let bounds = foreground.unwrap_or(BoundingBox::whole(grid.shape())).padded_to(self.patch_size);
        let grid = grid.cropped(&bounds);
        let cropped: Vec<Array3<f32>> =
            channels.into_iter().map(|channel| crop_or_pad(channel, &bounds, 0.0).into_voxels()).collect();
        let image = match <[Array3<f32>; 1]>::try_from(cropped) {
            Ok([only]) => only.insert_axis(Axis(0)),
            Err(several) => {
                let views: Vec<_> = several.iter().map(|channel| channel.view()).collect();
                ndarray::stack(Axis(0), &views).expect("all channels were cropped alike")
            }
        };
        PreprocessedCase { image, grid }
    }

    /// Reads and preprocesses a case of a data set; the labels become channel indices on the new grid (see
    /// [`remap_labels`]), background where the volume was padded.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, the number of channels is not that of the data set, the files of the case are on
    /// different grids, a label is unknown, or the case would be too large.
    pub fn prepare_case(&self, dataset: &Dataset, case: &Case) -> Result<(PreprocessedCase, Array3<u8>)> {
        let channels = read_channels(&case.images)?;
        let grid = channels[0].grid().clone();
        ensure_channel_count(case, channels.len(), &dataset.channels)?;
        self.ensure_size(&case.images[0], &grid)?;
        let labels = read_case_labels(case, &grid, &dataset.label_schema)?;
        let prepared = self.prepare(channels);
        let indices = remap_labels(&labels, &dataset.label_schema, &prepared.grid);
        Ok((prepared, indices))
    }

    fn prepare_channel(&self, channel: Volume<f32>) -> Volume<f32> {
        let mut channel = into_ras(channel);
        if let Some(spacing) = self.spacing {
            let grid = channel.grid().resampled_to(spacing);
            if !grid.approx_eq(channel.grid()) {
                channel = resample(&channel, &grid, PaddingMode::Border);
            }
        }
        self.intensity.apply(channel.voxels_mut());
        channel
    }
}

/// Reads the channels of a case: one file with all of them, or one file each.
///
/// # Errors
///
/// When a file cannot be read or is on another grid than the first.
pub fn read_channels(images: &[PathBuf]) -> Result<Vec<Volume<f32>>> {
    let mut channels: Vec<Volume<f32>> = Vec::new();
    for path in images {
        let image = read(path)?.channels;
        if let (Some(first), Some(other)) = (channels.first(), image.first()) {
            ensure_same_grid(path, other.grid(), &images[0], first.grid())?;
        }
        channels.extend(image);
    }
    Ok(channels)
}

/// Reads the labels of a case on the grid of its images, with labels replaced as the schema remaps them. A label map
/// with another axis order or direction is reoriented, which is lossless.
///
/// # Errors
///
/// When the case has no labels, the file is not a label map or on another grid, or a label is unknown.
pub fn read_case_labels(case: &Case, grid: &Grid, schema: &LabelSchema) -> Result<LabelMap> {
    let image = &case.images[0];
    let path = case.labels.as_ref().ok_or_else(|| Error::NoReference { path: image.clone() })?;
    let labels = read_reference(path, schema.remap(), grid)?;
    ensure_same_grid(path, labels.grid(), image, grid)?;
    if let Some(label) = labels.voxels().iter().find(|label| !schema.contains(**label)) {
        let voxels = labels.voxels().iter().filter(|other| *other == label).count();
        let (path, known) = (path.clone(), schema.labels().to_vec());
        return Err(Error::UnknownLabel { path, label: *label, voxels, known });
    }
    Ok(labels)
}

/// Checks the number of channels of a case.
pub(super) fn ensure_channel_count(case: &Case, found: usize, names: &[String]) -> Result<()> {
    if found == names.len() {
        return Ok(());
    }
    let path = case.images[0].clone();
    Err(Error::ChannelCount { path, found, expected: names.len(), names: names.to_vec() })
}

impl Intensity {
    fn apply(self, voxels: &mut Array3<f32>) {
        match self {
            Self::ClipAndScale { a_min, a_max } => {
                voxels.par_mapv_inplace(|intensity| ((intensity - a_min) / (a_max - a_min)).clamp(0.0, 1.0));
            }
            Self::ZScore => {
                let (mean, std) = mean_std(voxels);
                voxels.par_mapv_inplace(|intensity| {
                    if intensity == 0.0 { 0.0 } else { ((f64::from(intensity) - mean) / std) as f32 }
                });
            }
        }
    }
}

/// Mean and population standard deviation of the voxels that are not zero.
fn mean_std(voxels: &Array3<f32>) -> (f64, f64) {
    let nonzero =
        || voxels.iter().filter(|intensity| **intensity != 0.0).map(|intensity| f64::from(*intensity));
    let count = nonzero().count().max(1) as f64;
    let mean = nonzero().sum::<f64>() / count;
    let variance = nonzero().map(|intensity| (intensity - mean).powi(2)).sum::<f64>() / count;
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

/// The bounding box of the voxels where any channel is not zero; `None` if there are none.
fn foreground(channels: &[Volume<f32>]) -> Option<BoundingBox> {
    let mut mask = channels[0].map(|intensity| *intensity != 0.0);
    for channel in &channels[1..] {
        mask.voxels_mut()
            .zip_mut_with(channel.voxels(), |is_inside, intensity| *is_inside |= *intensity != 0.0);
    }
    BoundingBox::of_mask(&mask)
}

/// Resamples labels to `grid` (nearest neighbor) as channel indices: 1 + the position in [`LabelSchema::labels`],
/// [`IGNORE_INDEX`](bipvl_imaging::IGNORE_INDEX) for the ignore label, 0 for other labels and outside of the volume.
pub fn remap_labels(labels: &LabelMap, schema: &LabelSchema, grid: &Grid) -> Array3<u8> {
    let resampled = resample_labels(labels, grid, PaddingMode::Constant(0));
    resampled.voxels().mapv(|label| schema.channel_index(label))
}

/// Checks that a file is on the grid of another one of its case.
///
/// # Errors
///
/// When it is not.
pub fn ensure_same_grid(path: &Path, grid: &Grid, reference: &Path, expected: &Grid) -> Result<()> {
    grid.ensure_matches(expected).map_err(|source| Error::GridMismatch {
        path: path.to_owned(),
        reference: reference.to_owned(),
        reason: source,
    })
}
