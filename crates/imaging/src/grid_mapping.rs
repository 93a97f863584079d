//! Maps the voxels of one grid to fractional voxel indices of another, with weights for linear interpolation.

use crate::{Affine, Grid};

/// Distance from the center of a voxel to its face, in voxels, plus a margin for rounding.
const HALF_VOXEL: f64 = 0.5 + 1e-6;

/// Grids count as axis-aligned when dropping the off-diagonal terms moves no voxel by more than this, in source
/// voxels: about the error of a float32 affine at the far end of a large volume.
const ALIGNED_VOXELS: f64 = 1e-4;

/// Linear interpolation between two neighboring voxels of one axis; clamped at the ends of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearWeight {
    /// The voxel at or before the coordinate.
    pub low: usize,
    /// The next voxel; equal to `low` at the last voxel.
    pub high: usize,
    /// The weight of `high`, 0 to 1.
    pub fraction: f64,
    /// Whether the coordinate is between the outer faces of the first and the last voxel.
    pub is_inside: bool,
}

impl LinearWeight {
    /// The interpolated value between those of the voxels `low` and `high`.
    #[inline]
    pub fn lerp(self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction
    }

    /// The weights at a fractional voxel index on an axis of `length` voxels.
    fn at(coordinate: f64, length: usize) -> Self {
        let last = (length - 1) as f64;
        let clamped = coordinate.clamp(0.0, last);
        let low = clamped.floor();
        Self {
            low: low as usize,
            high: (low as usize + 1).min(length - 1),
            fraction: clamped - low,
            is_inside: (-HALF_VOXEL..=last + HALF_VOXEL).contains(&coordinate),
        }
    }
}

/// Maps every voxel of a target grid to interpolation weights on a source grid.
#[derive(Clone, Debug)]
pub enum GridMapping {
    /// The grids differ by flips, permutations, spacing and origin alone.
    Aligned {
        /// Per source axis the target axis parallel to it.
        axes: [usize; 3],
        /// Per source axis a weight for every index on that target axis.
        weights: [Vec<LinearWeight>; 3],
    },
    /// Any other pair of grids.
    Oblique {
        /// Target voxel index → fractional source voxel index.
        to_source: Affine,
        /// Voxels per axis of the source.
        shape: [usize; 3],
    },
}

impl GridMapping {
    /// Maps the voxels of `target` to `source`.
    ///
    /// # Panics
    ///
    /// When `source` has no voxel or its affine cannot be inverted.
    pub fn new(source: &Grid, target: &Grid) -> Self {
        let shape = source.shape();
        assert!(shape.iter().all(|&length| length > 0), "expected a source with voxels, found {shape:?}");
        let to_source = target.voxel_to_voxel(source);
        let Some(axes) = aligned_axes(&to_source, target.shape()) else {
            return Self::Oblique { to_source, shape };
        };
        let weights = std::array::from_fn(|axis| {
            let (step, start) = (to_source[(axis, axes[axis])], to_source[(axis, 3)]);
            let length = target.shape()[axes[axis]];
            (0..length).map(|index| LinearWeight::at(start + step * index as f64, shape[axis])).collect()
        });
        Self::Aligned { axes, weights }
    }

    /// The weights of one target voxel, one for each source axis.
    #[inline]
    pub fn weights_at(&self, voxel: [usize; 3]) -> [LinearWeight; 3] {
        match self {
            Self::Aligned { axes, weights } => std::array::from_fn(|axis| weights[axis][voxel[axes[axis]]]),
            Self::Oblique { to_source, shape } => {
                let [x, y, z] = voxel.map(|index| index as f64);
                let place = to_source * nalgebra::Vector4::new(x, y, z, 1.0);
                std::array::from_fn(|axis| LinearWeight::at(place[axis], shape[axis]))
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_aligned_grids_are_recognized() {
        let grid = Grid::with_spacing([10, 20, 30], [1.0, 2.0, 3.0]);
        let axes = |affine: Affine| {
            aligned_axes(&Grid::new([30, 10, 20], affine).voxel_to_voxel(&grid), [30, 10, 20])
        };
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
