//! Puts a volume onto another grid: linear for intensities, nearest for labels.

use ndarray::Array3;
use rayon::prelude::*;

use crate::{Grid, GridMapping, LabelMap, Tap, Volume};

/// What a voxel gets whose place lies outside the source volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outside<T> {
    /// The value at the nearest place inside (border padding).
    Nearest,
    /// This value. The source ends at the faces of its outermost voxels; between their centers and
    /// their faces the border value holds.
    Fill(T),
}

/// Puts intensities onto `grid`, trilinear between voxel centers; coordinates and sums are in float64.
///
/// Any two grids will do: oblique, flipped, permuted. Nothing smooths before a coarser spacing.
///
/// # Panics
///
/// When `volume` has no voxel or its affine cannot be inverted.
pub fn resample(volume: &Volume<f32>, grid: &Grid, outside: Outside<f32>) -> Volume<f32> {
    sample(volume, grid, outside, trilinear)
}

/// Puts labels onto `grid`: each voxel gets the label of the nearest voxel center; halfway, that of the
/// even voxel index.
///
/// # Panics
///
/// When `labels` has no voxel or its affine cannot be inverted.
pub fn resample_labels(labels: &LabelMap, grid: &Grid, outside: Outside<u16>) -> LabelMap {
    sample(labels, grid, outside, nearest)
}

/// How a voxel is made from the source's voxels around its place.
type Blend<T> = fn(&Array3<T>, [Tap; 3]) -> T;

fn sample<T>(source: &Volume<T>, grid: &Grid, outside: Outside<T>, blend: Blend<T>) -> Volume<T>
where
    T: Copy + Default + Send + Sync,
{
    let placement = GridMapping::new(source.grid(), grid);
    let voxels = fill_in_parallel(grid.shape(), |voxel| {
        let taps = placement.taps(voxel);
        match outside {
            Outside::Fill(fill) if !taps.iter().all(|tap| tap.is_inside) => fill,
            _ => blend(source.voxels(), taps),
        }
    });
    Volume::new(voxels, grid.clone())
}

fn trilinear(voxels: &Array3<f32>, [x, y, z]: [Tap; 3]) -> f32 {
    let along_z = |x, y| z.between(voxels[[x, y, z.low]] as f64, voxels[[x, y, z.high]] as f64);
    let along_y = |x| y.between(along_z(x, y.low), along_z(x, y.high));
    x.between(along_y(x.low), along_y(x.high)) as f32
}

fn nearest(labels: &Array3<u16>, taps: [Tap; 3]) -> u16 {
    labels[taps.map(|tap| {
        let is_low = tap.share < 0.5 || (tap.share <= 0.5 && tap.low.is_multiple_of(2));
        if is_low { tap.low } else { tap.high }
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
