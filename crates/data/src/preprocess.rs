//! Orientation, spacing, intensities, crop: the one recipe for training and prediction.

use std::path::{Path, PathBuf};

use bipvl_imaging::{
    BoundingBox, Grid, LabelMap, PaddingMode, Volume, crop_or_pad, into_ras, read, resample, resample_labels,
};
use ndarray::{Array3, Array4, Axis};
use serde::{Deserialize, Serialize};

use super::{Case, Dataset, Modality, read_reference};
use crate::{Error, Result};

/// How the voxels of a case are prepared; saved with the weights, so that prediction cannot drift from
/// training.
///
/// The order is orientation → spacing → intensity → crop → padding. Orientation comes before spacing, so
/// that the third number of `spacing` is the distance of axial slices however the file is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessConfig {
    /// Millimeters per voxel along x, y, z; absent, the file's own spacing stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<[f64; 3]>,
    /// What is done to the intensities.
    pub intensity: Intensity,
    /// Whether to keep only the box around the voxels where a prepared channel is not zero. For a window
    /// that is everything above its low end; for z-scores it is every voxel that was not zero before.
    pub crop_foreground: bool,
    /// The patch of the network; smaller volumes are padded with zeros on both sides to this shape.
    pub patch_size: [usize; 3],
}

/// What is done to the intensities, channel by channel.
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
    /// Subtracts the mean and divides by the population standard deviation of the voxels that are not
    /// zero; zeros stay zero, and a standard deviation of zero counts as one.
    ZScore,
}

/// A case as the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessedCase {
    /// Prepared intensities, `[channels, x, y, z]`.
    pub image: Array4<f32>,
    /// Where the prepared voxels are, in RAS; resampling from here to the file's own grid is the way back.
    pub grid: Grid,
}

impl PreprocessConfig {
    /// The paper's recipe for abdominal CT (1.5 × 1.5 × 2 mm, −175 to 250 HU), or z-scores on the file's
    /// own spacing for magnetic resonance.
    pub fn for_modality(modality: Modality, patch_size: [usize; 3]) -> Self {
        let (spacing, intensity) = match modality {
            Modality::Ct => (Some([1.5, 1.5, 2.0]), Intensity::ClipAndScale { a_min: -175.0, a_max: 250.0 }),
            Modality::Mr => (None, Intensity::ZScore),
        };
        Self { spacing, intensity, crop_foreground: true, patch_size }
    }

    /// Checks the numbers that were read from the file `path`.
    ///
    /// # Errors
    ///
    /// When a spacing is not above zero, the window is empty, or the patch is.
    pub fn check(&self, path: &Path) -> Result<()> {
        let is_length = |length: &f64| length.is_finite() && *length > 0.0;
        if let Some(spacing) = self.spacing.filter(|spacing| !spacing.iter().all(is_length)) {
            return Err(Error::content(path, "a spacing above zero", format!("{spacing:?}")));
        }
        if let Intensity::ClipAndScale { a_min, a_max } = self.intensity
            && !(a_min.is_finite() && a_max.is_finite() && a_min < a_max)
        {
            return Err(Error::content(
                path,
                "clip_and_scale with a_min below a_max",
                format!("{a_min} and {a_max}"),
            ));
        }
        if self.patch_size.contains(&0) {
            return Err(Error::content(
                path,
                "a patch of at least one voxel",
                format!("{:?}", self.patch_size),
            ));
        }
        Ok(())
    }

    /// Prepares the channels of one case, which share a grid.
    ///
    /// It takes them away, so that no more of them is in memory than it needs.
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

    /// Reads and prepares a case of a data set; the labels become class indices on the prepared grid,
    /// background where the volume was padded.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not there, the number of channels is not the data set's, the files
    /// of the case have different grids, or a label belongs to no class.
    pub fn prepare_case(&self, dataset: &Dataset, case: &Case) -> Result<(PreprocessedCase, Array3<u8>)> {
        let channels = read_channels(&case.images)?;
        let file = &case.images[0];
        if channels.len() != dataset.channels.len() {
            let expected = format!("{} channels ({})", dataset.channels.len(), dataset.channels.join(", "));
            return Err(Error::content(file, expected, channels.len().to_string()));
        }
        let Some(path) = &case.labels else {
            return Err(Error::content(file, "labels to learn from", "none"));
        };
        let labels = read_reference(path, &dataset.relabel)?;
        ensure_same_grid((path, labels.grid()), (file, channels[0].grid()))?;
        let unknown = labels.voxels().iter().find(|label| **label != 0 && !dataset.labels.contains(label));
        if let Some(label) = unknown {
            return Err(Error::content(
                path,
                format!("labels among 0 and {:?}", dataset.labels),
                label.to_string(),
            ));
        }
        let prepared = self.prepare(channels);
        let classes = remap_labels(&labels, &dataset.labels, &prepared.grid);
        Ok((prepared, classes))
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
        let volumes = read(path)?.channels;
        if let (Some(first), Some(other)) = (channels.first(), volumes.first()) {
            ensure_same_grid((path, other.grid()), (&images[0], first.grid()))?;
        }
        channels.extend(volumes);
    }
    Ok(channels)
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

/// The box around the voxels where any channel is not zero; none where all are.
fn foreground(channels: &[Volume<f32>]) -> Option<BoundingBox> {
    let mut mask = channels[0].map(|intensity| *intensity != 0.0);
    for channel in &channels[1..] {
        mask.voxels_mut()
            .zip_mut_with(channel.voxels(), |is_inside, intensity| *is_inside |= *intensity != 0.0);
    }
    BoundingBox::of_mask(&mask)
}

/// The labels as class indices on another grid: 1 for the first of `known`, 0 beyond the labels and for others.
pub fn remap_labels(labels: &LabelMap, known: &[u16], grid: &Grid) -> Array3<u8> {
    let placed = resample_labels(labels, grid, PaddingMode::Constant(0));
    placed
        .voxels()
        .mapv(|label| known.iter().position(|one| *one == label).map_or(0, |class| class as u8 + 1))
}

/// Whether a file has the grid of another of its case.
pub fn ensure_same_grid((path, grid): (&Path, &Grid), (first, expected): (&Path, &Grid)) -> Result<()> {
    if grid.approx_eq(expected) {
        return Ok(());
    }
    let expected = format!("the grid of {} ({})", first.display(), describe(expected));
    Err(Error::content(path, expected, describe(grid)))
}

fn describe(grid: &Grid) -> String {
    let [x, y, z] = grid.shape();
    let [origin_x, origin_y, origin_z] = grid.voxel_to_world([0.0; 3]);
    let [dx, dy, dz] = grid.spacing();
    format!(
        "{x} × {y} × {z} voxels of {dx:.3} × {dy:.3} × {dz:.3} mm from ({origin_x:.2}, {origin_y:.2}, {origin_z:.2})"
    )
}
