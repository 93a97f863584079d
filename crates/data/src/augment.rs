//! Random flips, rotations, scalings and intensities: parameters drawn first, then applied to image and
//! labels alike while the patch is cut.

use std::{f64::consts::PI, path::Path};

use nalgebra::{Matrix3, Rotation3, Vector3};
use ndarray::{Array3, Array4, ArrayView3};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{CachedCase, Sample};
use crate::{Error, Result};

/// How much patches are varied; the default is the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// How often a patch is mirrored, per axis. Zero unless asked for: the descriptions tell right from left.
    pub flip_probability: [f64; 3],
    /// How often a patch is rotated and scaled.
    pub affine_probability: f64,
    /// The greatest angle about each axis, in radians.
    pub rotation_range_rad: [f64; 3],
    /// Each axis is scaled by 1 ± up to this.
    pub scale_range: f64,
    /// How often intensities are multiplied.
    pub intensity_scale_probability: f64,
    /// Prepared intensities are multiplied by 1 ± up to this.
    pub intensity_scale_range: f64,
    /// How often intensities are shifted.
    pub intensity_shift_probability: f64,
    /// Prepared intensities are shifted by ± up to this.
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
    /// No variation at all.
    pub fn none() -> Self {
        Self {
            flip_probability: [0.0; 3],
            affine_probability: 0.0,
            intensity_scale_probability: 0.0,
            intensity_shift_probability: 0.0,
            ..Self::default()
        }
    }

    /// Checks the numbers that were read from the file `path`.
    ///
    /// # Errors
    ///
    /// When a probability is not one, or a range is negative or would turn a patch inside out.
    pub fn check(&self, path: &Path) -> Result<()> {
        let [x, y, z] = self.flip_probability;
        let others =
            [self.affine_probability, self.intensity_scale_probability, self.intensity_shift_probability];
        let improbable = [x, y, z].into_iter().chain(others).find(|share| !(0.0..=1.0).contains(share));
        if let Some(share) = improbable {
            return Err(Error::content(path, "probabilities from 0 to 1", share.to_string()));
        }
        if !(0.0..1.0).contains(&self.scale_range) {
            return Err(Error::content(
                path,
                "augment.scale_range from 0 to below 1",
                self.scale_range.to_string(),
            ));
        }
        let ranges = self
            .rotation_range_rad
            .into_iter()
            .chain([self.intensity_scale_range, self.intensity_shift_range]);
        match ranges.into_iter().find(|range| !(range.is_finite() && *range >= 0.0)) {
            Some(range) => Err(Error::content(path, "ranges of zero or more", range.to_string())),
            None => Ok(()),
        }
    }
}

/// One variation of a patch, drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Offset from the center in the patch → offset in the case, in voxels.
    linear: Matrix3<f64>,
    gain: f32,
    shift: f32,
}

impl Augmentation {
    /// Draws the parameters; the number of draws does not depend on what they turn out to be.
    pub fn sample(config: &AugmentConfig, rng: &mut impl Rng) -> Self {
        let mut sometimes = |probability: f64, greatest: f64| {
            let (happens, share) = (rng.random_bool(probability), rng.random_range(-1.0..=1.0));
            if happens { share * greatest } else { 0.0 }
        };
        let gain = 1.0 + sometimes(config.intensity_scale_probability, config.intensity_scale_range);
        let shift = sometimes(config.intensity_shift_probability, config.intensity_shift_range);
        let is_affine = f64::from(u8::from(rng.random_bool(config.affine_probability)));
        let mut within = |greatest: f64| is_affine * greatest * rng.random_range(-1.0..=1.0);
        let angles = config.rotation_range_rad.map(&mut within);
        let scales = Vector3::from_fn(|_, _| 1.0 + within(config.scale_range));
        let signs = config.flip_probability.map(|share| if rng.random_bool(share) { -1.0 } else { 1.0 });
        let rotation = Rotation3::from_euler_angles(angles[0], angles[1], angles[2]);
        let linear =
            rotation.matrix() * Matrix3::from_diagonal(&scales) * Matrix3::from_diagonal(&signs.into());
        Self { linear, gain: gain as f32, shift: shift as f32 }
    }

    /// Cuts the patch of `shape` voxels that begins at voxel `start` out of a case, varied: turned about
    /// its center, linear for intensities and nearest for labels. Voxels beyond the patch come from the
    /// case; only beyond the case is it mirrored.
    ///
    /// # Panics
    ///
    /// When the patch does not lie inside the case.
    pub fn cut(&self, case: &CachedCase, start: [usize; 3], shape: [usize; 3]) -> Sample {
        let mut sample = if self.linear == Matrix3::identity() {
            case.crop(start, shape)
        } else {
            self.resample(case, start, shape)
        };
        sample.image.mapv_inplace(|intensity| intensity * self.gain + self.shift);
        sample
    }

    fn resample(&self, case: &CachedCase, start: [usize; 3], shape: [usize; 3]) -> Sample {
        let case_shape = case.grid().shape();
        let half = Vector3::from_fn(|axis, _| (shape[axis] as f64 - 1.0) / 2.0);
        let center = Vector3::from_fn(|axis, _| start[axis] as f64 + half[axis]);
        // What the turned patch reaches, cut off at the case; mirrored voxels lie inside this box as well.
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
        Sample { case: source.case, image, labels }
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
