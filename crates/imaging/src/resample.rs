//! Resamples a volume to another grid: trilinear for intensities, nearest neighbor for labels.

use ndarray::Array3;
use rayon::prelude::*;

use crate::{Grid, GridMapping, LabelMap, LinearWeight, Volume};

/// Values outside the source volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PaddingMode<T> {
    /// The nearest border value, as `padding_mode="border"` of PyTorch's `grid_sample`.
    Border,
    /// A constant. The source ends at the outer faces of its border voxels; between their centers and
    /// faces the border value is used.
    Constant(T),
}

/// Resamples intensities to `grid`, trilinear between voxel centers; coordinates and sums are float64.
///
/// The grids may be oblique, flipped or permuted. There is no smoothing before downsampling.
///
/// # Panics
///
/// When `volume` has no voxel or its affine cannot be inverted.
pub fn resample(volume: &Volume<f32>, grid: &Grid, padding: PaddingMode<f32>) -> Volume<f32> {
    sample(volume, grid, padding, trilinear)
}

/// Resamples labels to `grid` with nearest-neighbor interpolation; ties go to the even voxel index.
///
/// # Panics
///
/// When `labels` has no voxel or its affine cannot be inverted.
pub fn resample_labels(labels: &LabelMap, grid: &Grid, padding: PaddingMode<u16>) -> LabelMap {
    sample(labels, grid, padding, nearest)
}

/// Interpolates the source voxels around a coordinate.
type Interpolation<T> = fn(&Array3<T>, [LinearWeight; 3]) -> T;

fn sample<T>(
    source: &Volume<T>,
    grid: &Grid,
    padding: PaddingMode<T>,
    interpolate: Interpolation<T>,
) -> Volume<T>
where
    T: Copy + Default + Send + Sync,
{
    let mapping = GridMapping::new(source.grid(), grid);
    let voxels = fill_in_parallel(grid.shape(), |voxel| {
        let weights = mapping.weights_at(voxel);
        match padding {
            PaddingMode::Constant(fill) if !weights.iter().all(|weight| weight.is_inside) => fill,
            _ => interpolate(source.voxels(), weights),
        }
    });
    Volume::new(voxels, grid.clone())
}

fn trilinear(voxels: &Array3<f32>, [x, y, z]: [LinearWeight; 3]) -> f32 {
    let along_z = |x, y| z.lerp(voxels[[x, y, z.low]] as f64, voxels[[x, y, z.high]] as f64);
    let along_y = |x| y.lerp(along_z(x, y.low), along_z(x, y.high));
    x.lerp(along_y(x.low), along_y(x.high)) as f32
}

fn nearest(labels: &Array3<u16>, weights: [LinearWeight; 3]) -> u16 {
    labels[weights.map(|weight| {
        let is_low = weight.fraction < 0.5 || (weight.fraction <= 0.5 && weight.low.is_multiple_of(2));
        if is_low { weight.low } else { weight.high }
    })]
}

/// Calls `value` with every voxel index of `shape`, one x-section per task.
fn fill_in_parallel<T>(shape: [usize; 3], value: impl Fn([usize; 3]) -> T + Sync) -> Array3<T>
where
    T: Clone + Default + Send,
{
    let [_, y_length, z_length] = shape;
    let mut voxels = vec![T::default(); shape.iter().product()];
    voxels.par_chunks_mut((y_length * z_length).max(1)).enumerate().for_each(|(x, section)| {
        for (y, row) in section.chunks_mut(z_length.max(1)).enumerate() {
            for (z, voxel) in row.iter_mut().enumerate() {
                *voxel = value([x, y, z]);
            }
        }
    });
    Array3::from_shape_vec(shape, voxels).expect("one value was made for every voxel")
}
