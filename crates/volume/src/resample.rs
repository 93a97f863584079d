//! Puts a volume onto another grid: linear for intensities, nearest for labels.

use ndarray::Array3;
use rayon::prelude::*;

use crate::{Affine, Grid, LabelMap, Volume};

/// How far a voxel reaches from its center, in voxels, with room for the rounding of coordinates.
const HALF_VOXEL: f64 = 0.5 + 1e-6;

/// Two grids count as axis-aligned when ignoring the rest moves no voxel by more than this, in source
/// voxels: about what an affine rounded to float32 leaves at the far end of a large volume.
const ALIGNED_VOXELS: f64 = 1e-4;

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

/// Where a coordinate falls between two neighboring voxels of one axis.
#[derive(Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    /// The share of `high`, 0 to 1.
    share: f64,
}

/// How a voxel is made from the source's voxels around its place.
type Blend<T> = fn(&Array3<T>, [Tap; 3]) -> T;

fn sample<T>(source: &Volume<T>, grid: &Grid, outside: Outside<T>, blend: Blend<T>) -> Volume<T>
where
    T: Copy + Default + Send + Sync,
{
    let shape = source.grid().shape();
    assert!(shape.iter().all(|&length| length > 0), "expected a source with voxels, found {shape:?}");
    let to_source = grid.voxel_map_to(source.grid());
    let value = |taps: [Option<Tap>; 3]| match (taps, outside) {
        ([Some(x), Some(y), Some(z)], _) => blend(source.voxels(), [x, y, z]),
        (_, Outside::Fill(fill)) => fill,
        (_, Outside::Nearest) => unreachable!("a clamped coordinate always falls on voxels"),
    };
    let tap_at = |axis: usize, coordinate| tap(coordinate, shape[axis], outside);
    let voxels = if let Some(axes) = aligned_axes(&to_source, grid.shape()) {
        // Each source coordinate follows one target axis alone: the taps of whole axes are made once.
        let taps: [Vec<Option<Tap>>; 3] = std::array::from_fn(|axis| {
            let (step, start) = (to_source[(axis, axes[axis])], to_source[(axis, 3)]);
            (0..grid.shape()[axes[axis]]).map(|index| tap_at(axis, start + step * index as f64)).collect()
        });
        fill_in_parallel(grid.shape(), |voxel| {
            value(std::array::from_fn(|axis| taps[axis][voxel[axes[axis]]]))
        })
    } else {
        fill_in_parallel(grid.shape(), |voxel| {
            let place =
                to_source * nalgebra::Vector4::new(voxel[0] as f64, voxel[1] as f64, voxel[2] as f64, 1.0);
            value(std::array::from_fn(|axis| tap_at(axis, place[axis])))
        })
    };
    Volume::new(voxels, grid.clone())
}

/// The voxels around `coordinate` on an axis of `length` voxels; `None` where the fill value holds.
fn tap<T>(coordinate: f64, length: usize, outside: Outside<T>) -> Option<Tap> {
    let last = (length - 1) as f64;
    let is_inside = (-HALF_VOXEL..=last + HALF_VOXEL).contains(&coordinate);
    if matches!(outside, Outside::Fill(_)) && !is_inside {
        return None;
    }
    let clamped = coordinate.clamp(0.0, last);
    let low = clamped.floor();
    Some(Tap { low: low as usize, high: (low as usize + 1).min(length - 1), share: clamped - low })
}

fn trilinear(voxels: &Array3<f32>, [x, y, z]: [Tap; 3]) -> f32 {
    let between = |low: f64, high: f64, tap: Tap| low + (high - low) * tap.share;
    let along_z = |x, y| between(voxels[[x, y, z.low]] as f64, voxels[[x, y, z.high]] as f64, z);
    let along_y = |x| between(along_z(x, y.low), along_z(x, y.high), y);
    between(along_y(x.low), along_y(x.high), x) as f32
}

fn nearest(labels: &Array3<u16>, taps: [Tap; 3]) -> u16 {
    labels[taps.map(|tap| {
        let is_low = tap.share < 0.5 || (tap.share <= 0.5 && tap.low.is_multiple_of(2));
        if is_low { tap.low } else { tap.high }
    })]
}

/// For each source axis the one target axis it follows, if the grids are axis-aligned.
fn aligned_axes(to_source: &Affine, shape: [usize; 3]) -> Option<[usize; 3]> {
    let reach =
        |axis: usize, target: usize| to_source[(axis, target)].abs() * shape[target].saturating_sub(1) as f64;
    let axes: [usize; 3] = std::array::from_fn(|axis| to_source.fixed_view::<1, 3>(axis, 0).icamax_full().1);
    let is_permutation = (0..3).all(|target| axes.contains(&target));
    let is_aligned = (0..3).all(|axis| {
        (0..3).filter(|&target| target != axes[axis]).map(|target| reach(axis, target)).sum::<f64>()
            <= ALIGNED_VOXELS
    });
    (is_permutation && is_aligned).then_some(axes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_aligned_grids_are_recognized() {
        let grid = Grid::with_spacing([10, 20, 30], [1.0, 2.0, 3.0]);
        let axes =
            |affine: Affine| aligned_axes(&Grid::new([30, 10, 20], affine).voxel_map_to(&grid), [30, 10, 20]);
        let mut affine = Affine::new(
            0.0, -1.5, 0.0, 3.0, //
            0.0, 0.0, 2.5, 4.0, //
            1.0, 0.0, 0.0, 5.0, //
            0.0, 0.0, 0.0, 1.0,
        );
        assert_eq!(axes(affine), Some([1, 2, 0]));
        affine[(0, 0)] = 1e-6;
        assert_eq!(axes(affine), Some([1, 2, 0]), "29 steps of a millionth of a voxel are nothing");
        affine[(0, 0)] = 1e-3;
        assert_eq!(axes(affine), None);
    }
}
