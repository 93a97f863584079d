//! Data augmentation: random flips, rotation, scaling and intensity changes, sampled first, then applied to image and
//! labels while the patch is cropped.

use std::{f64::consts::PI, path::Path};

use nalgebra::{Matrix3, Rotation3, Vector3};
use ndarray::{Array3, Array4, ArrayView3};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{CachedCase, Sample, coordinates::coordinates};
use crate::{Error, Result};

/// Data augmentation; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Probability of a flip, per axis. 0 by default, because descriptions distinguish left and right.
    pub flip_probability: [f64; 3],
    /// Probability of rotation and scaling.
    pub affine_probability: f64,
    /// Largest rotation about each axis in either direction, in radians.
    pub rotation_range_rad: [f64; 3],
    /// Each axis is scaled by a factor in 1 ± this.
    pub scale_range: f64,
    /// Probability of scaling intensities (MONAI `RandScaleIntensity`).
    pub intensity_scale_probability: f64,
    /// Preprocessed intensities are multiplied by a factor in 1 ± this.
    pub intensity_scale_range: f64,
    /// Probability of shifting intensities (MONAI `RandShiftIntensity`).
    pub intensity_shift_probability: f64,
    /// Preprocessed intensities are shifted by ± up to this.
    pub intensity_shift_range: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip_probability: [0.0; 3],
            affine_probability: 1.0,
            rotation_range_rad: [0.0, 0.0, PI / 30.0],
            scale_range: 0.1,
            intensity_scale_probability: 0.5,
            intensity_scale_range: 0.1,
            intensity_shift_probability: 0.5,
            intensity_shift_range: 0.1,
        }
    }
}

impl AugmentConfig {
    /// No augmentation.
    pub fn none() -> Self {
        Self {
            flip_probability: [0.0; 3],
            affine_probability: 0.0,
            intensity_scale_probability: 0.0,
            intensity_shift_probability: 0.0,
            ..Self::default()
        }
    }

    /// Checks the values; `path` is the configuration, for messages.
    ///
    /// # Errors
    ///
    /// When a probability is not in 0..=1, a range is negative or not finite, or scaling could reach 0.
    pub fn check(&self, path: &Path) -> Result<()> {
        let invalid = |key: &str, expected: &str, found: f64| {
            Err(Error::invalid_value(path, format!("train.augment.{key}"), expected, found))
        };
        let probabilities = self.flip_probability.map(|p| ("flip_probability", p)).into_iter().chain([
            ("affine_probability", self.affine_probability),
            ("intensity_scale_probability", self.intensity_scale_probability),
            ("intensity_shift_probability", self.intensity_shift_probability),
        ]);
        for (key, probability) in probabilities {
            if !(0.0..=1.0).contains(&probability) {
                return invalid(key, "a probability from 0 to 1", probability);
            }
        }
        if !(0.0..1.0).contains(&self.scale_range) {
            return invalid("scale_range", "at least 0 and below 1", self.scale_range);
        }
        let ranges = self.rotation_range_rad.map(|angle| ("rotation_range_rad", angle)).into_iter().chain([
            ("intensity_scale_range", self.intensity_scale_range),
            ("intensity_shift_range", self.intensity_shift_range),
        ]);
        for (key, range) in ranges {
            if !(range.is_finite() && range >= 0.0) {
                return invalid(key, "at least 0", range);
            }
        }
        Ok(())
    }
}

/// Sampled augmentation parameters of one patch.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Offset from the center in the patch → offset in the case, in voxels.
    linear: Matrix3<f64>,
    gain: f32,
    shift: f32,
}

impl Augmentation {
    /// Samples parameters; the number of random draws does not depend on their values.
    pub fn sample(config: &AugmentConfig, rng: &mut impl Rng) -> Self {
        let mut sometimes = |probability: f64, range: f64| {
            let (is_applied, factor) = (rng.random_bool(probability), rng.random_range(-1.0..=1.0));
            if is_applied { factor * range } else { 0.0 }
        };
        let gain = 1.0 + sometimes(config.intensity_scale_probability, config.intensity_scale_range);
        let shift = sometimes(config.intensity_shift_probability, config.intensity_shift_range);
        let is_affine = f64::from(u8::from(rng.random_bool(config.affine_probability)));
        let mut within = |range: f64| is_affine * range * rng.random_range(-1.0..=1.0);
        let angles = config.rotation_range_rad.map(&mut within);
        let scales = Vector3::from_fn(|_, _| 1.0 + within(config.scale_range));
        let signs = config.flip_probability.map(|p| if rng.random_bool(p) { -1.0 } else { 1.0 });
        let rotation = Rotation3::from_euler_angles(angles[0], angles[1], angles[2]);
        let linear =
            rotation.matrix() * Matrix3::from_diagonal(&scales) * Matrix3::from_diagonal(&signs.into());
        Self { linear, gain: gain as f32, shift: shift as f32 }
    }

    /// Crops and augments the patch of `shape` voxels at `start`: transformed about its center, with linear
    /// interpolation of intensities and nearest-neighbor of labels. Voxels beyond the patch come from the case; the
    /// case is mirrored at its borders.
    ///
    /// # Panics
    ///
    /// When the patch does not lie inside the case.
    pub fn crop(&self, case: &CachedCase, start: [usize; 3], shape: [usize; 3]) -> Sample {
        let mut sample = if self.linear == Matrix3::identity() {
            case.crop(start, shape)
        } else {
            self.resample(case, start, shape)
        };
        sample.image.mapv_inplace(|intensity| intensity * self.gain + self.shift);
        sample
    }

    /// The coordinates in a scan of the voxels that [`Self::crop`] takes, `[3, x, y, z]`; see [`patch_coordinates`].
    ///
    /// [`patch_coordinates`]: crate::patch_coordinates
    pub fn coordinates(&self, start: [usize; 3], shape: [usize; 3], scan: [usize; 3]) -> Array4<f32> {
        let half = shape.map(|size| (size as f64 - 1.0) / 2.0);
        coordinates(shape, scan, |voxel| {
            let offset = self.linear * Vector3::from_fn(|axis, _| voxel[axis] as f64 - half[axis]);
            std::array::from_fn(|axis| start[axis] as f64 + half[axis] + offset[axis])
        })
    }

    fn resample(&self, case: &CachedCase, start: [usize; 3], shape: [usize; 3]) -> Sample {
        let case_shape = case.grid().shape();
        let half = Vector3::from_fn(|axis, _| (shape[axis] as f64 - 1.0) / 2.0);
        let center = Vector3::from_fn(|axis, _| start[axis] as f64 + half[axis]);
        // The bounding box of the transformed patch within the case; mirrored voxels are inside it as well.
        let reach = self.linear.abs() * half;
        let inside = |voxel: f64, axis: usize| voxel.clamp(0.0, case_shape[axis] as f64 - 1.0) as usize;
        let first: [usize; 3] =
            std::array::from_fn(|axis| inside((center[axis] - reach[axis]).floor(), axis));
        let last: [usize; 3] = std::array::from_fn(|axis| inside((center[axis] + reach[axis]).ceil(), axis));
        let source = case.crop(first, std::array::from_fn(|axis| last[axis] + 1 - first[axis]));

        let [x, y, z] = shape;
        let mut image = Array4::zeros((case.num_channels(), x, y, z));
        let mut labels = Array3::zeros(shape);
        for ((x, y, z), label) in labels.indexed_iter_mut() {
            let offset = Vector3::new(x as f64, y as f64, z as f64) - half;
            let position = center + self.linear * offset;
            let position =
                std::array::from_fn(|axis| mirror(position[axis], case_shape[axis]) - first[axis] as f64);
            *label = source.labels[position.map(|coordinate| coordinate.round() as usize)];
            for (channel, voxels) in source.image.outer_iter().enumerate() {
                image[[channel, x, y, z]] = linear(&voxels, position);
            }
        }
        Sample { case_id: source.case_id, image, labels }
    }
}

/// Mirrors a coordinate at the outer faces of the first and last voxel until it lies between the centers.
fn mirror(coordinate: f64, size: usize) -> f64 {
    let size = size as f64;
    if (0.0..=size - 1.0).contains(&coordinate) {
        return coordinate;
    }
    let folded = (coordinate + 0.5).rem_euclid(2.0 * size);
    let inside = if folded < size { folded } else { 2.0 * size - folded };
    (inside - 0.5).clamp(0.0, size - 1.0)
}

/// The trilinear mean of the eight voxels around a position inside the array.
fn linear(voxels: &ArrayView3<'_, f32>, position: [f64; 3]) -> f32 {
    let low = position.map(|coordinate| coordinate as usize);
    let high: [usize; 3] = std::array::from_fn(|axis| (low[axis] + 1).min(voxels.shape()[axis] - 1));
    let [x, y, z] = std::array::from_fn(|axis| (position[axis] - low[axis] as f64) as f32);
    let along_z = |x: usize, y: usize| voxels[[x, y, low[2]]] * (1.0 - z) + voxels[[x, y, high[2]]] * z;
    let along_y = |x: usize| along_z(x, low[1]) * (1.0 - y) + along_z(x, high[1]) * y;
    along_y(low[0]) * (1.0 - x) + along_y(high[0]) * x
}
