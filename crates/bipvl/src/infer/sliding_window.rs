//! Where patches stand, and how overlapping logits are weighted and added.

use ndarray::{Array3, Array4, ArrayView4, Axis, Slice, Zip};
use serde::{Deserialize, Serialize};

/// Deviation of the Gaussian importance map as a share of the patch, as in MONAI and nnU-Net.
const SIGMA: f64 = 0.125;
/// Smallest importance, so that the corner of a volume is never divided by zero; MONAI's.
const LEAST: f32 = 1e-3;

/// How overlapping logits are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blending {
    /// Voxels near the center of a patch count more.
    Gaussian,
    /// All voxels count alike.
    Constant,
}

/// Covers volumes with patches of one shape.
#[derive(Debug)]
pub struct SlidingWindow {
    patch: [usize; 3],
    overlap: f64,
    importance: Array3<f32>,
}

impl SlidingWindow {
    /// Patches of `patch` voxels whose neighbors share `overlap` of each side (0 to less than 1).
    pub fn new(patch: [usize; 3], overlap: f64, blending: Blending) -> Self {
        assert!((0.0..1.0).contains(&overlap), "overlap is a share below 1");
        Self { patch, overlap, importance: importance_map(patch, blending) }
    }

    /// Runs `segment` on every patch of a volume `[channels, x, y, z]`, whose sides are at least the patch's,
    /// and averages the `outputs` channels it gives, weighted by importance.
    pub fn cover(
        &self,
        volume: ArrayView4<f32>,
        outputs: usize,
        mut segment: impl FnMut(ArrayView4<f32>) -> Array4<f32>,
    ) -> Array4<f32> {
        let (_, x, y, z) = volume.dim();
        let mut sums = Array4::zeros((outputs, x, y, z));
        let mut weights = Array3::<f32>::zeros((x, y, z));
        for start in self.starts([x, y, z]) {
            let place = |axis: usize| Slice::from(start[axis]..start[axis] + self.patch[axis]);
            let logits = segment(volume.slice_each_axis(|axis| match axis.axis.index() {
                0 => Slice::from(..),
                axis => place(axis - 1),
            }));
            for (mut sum, logits) in sums.outer_iter_mut().zip(logits.outer_iter()) {
                let sum = sum.slice_each_axis_mut(|axis| place(axis.axis.index()));
                Zip::from(sum).and(logits).and(&self.importance).for_each(|s, l, i| *s += l * i);
            }
            let mut weights = weights.slice_each_axis_mut(|axis| place(axis.axis.index()));
            weights += &self.importance;
        }
        for mut sum in sums.axis_iter_mut(Axis(0)) {
            sum /= &weights;
        }
        sums
    }

    /// First voxels of all patches, x slowest.
    fn starts(&self, shape: [usize; 3]) -> Vec<[usize; 3]> {
        let [xs, ys, zs]: [Vec<usize>; 3] =
            std::array::from_fn(|axis| starts(shape[axis], self.patch[axis], self.overlap));
        let mut all = Vec::with_capacity(xs.len() * ys.len() * zs.len());
        for &x in &xs {
            for &y in &ys {
                all.extend(zs.iter().map(|&z| [x, y, z]));
            }
        }
        all
    }
}

/// Multiples of the step; the last patch is moved back to end with the volume.
fn starts(size: usize, patch: usize, overlap: f64) -> Vec<usize> {
    assert!(size >= patch, "a volume is padded to at least one patch");
    let step = ((patch as f64 * (1.0 - overlap)) as usize).max(1);
    let count = (size - patch).div_ceil(step) + 1;
    (0..count).map(|i| (i * step).min(size - patch)).collect()
}

fn importance_map(patch: [usize; 3], blending: Blending) -> Array3<f32> {
    if blending == Blending::Constant {
        return Array3::ones(patch);
    }
    let bell = |axis: usize, index: usize| {
        let distance = index as f64 - (patch[axis] as f64 - 1.0) / 2.0;
        (-0.5 * (distance / (SIGMA * patch[axis] as f64)).powi(2)).exp()
    };
    Array3::from_shape_fn(patch, |(x, y, z)| ((bell(0, x) * bell(1, y) * bell(2, z)) as f32).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A weighted mean of equal float32 values.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn patches_cover_a_volume_and_the_last_ends_with_it() {
        assert_eq!(starts(96, 96, 0.25), [0]);
        assert_eq!(starts(97, 96, 0.25), [0, 1]);
        assert_eq!(starts(240, 96, 0.75), [0, 24, 48, 72, 96, 120, 144]);
        assert_eq!(starts(100, 32, 0.5), [0, 16, 32, 48, 64, 68]);
    }

    #[test]
    fn an_identity_predictor_gives_the_volume_back() {
        let volume =
            Array4::from_shape_fn((2, 9, 7, 5), |(c, x, y, z)| (c * 600 + x * 60 + y * 8 + z) as f32);
        for (blending, overlap) in
            [(Blending::Constant, 0.25), (Blending::Gaussian, 0.5), (Blending::Gaussian, 0.75)]
        {
            let window = SlidingWindow::new([4, 4, 4], overlap, blending);
            let covered = window.cover(volume.view(), 2, |patch| patch.to_owned());
            for (found, expected) in covered.iter().zip(&volume) {
                assert!((found - expected).abs() <= TOLERANCE * expected.abs().max(1.0));
            }
        }
    }

    #[test]
    fn the_center_of_a_patch_counts_most() {
        let map = importance_map([5, 5, 5], Blending::Gaussian);
        assert_eq!(map[[2, 2, 2]], 1.0);
        assert_eq!(map[[0, 0, 0]], LEAST);
        // One voxel from the center along an axis: exp(−½ (1 / 0.625)²).
        assert!((map[[1, 2, 2]] - (-0.5f32 / 0.625 / 0.625).exp()).abs() < 1e-6);
    }
}
