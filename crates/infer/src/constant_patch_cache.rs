//! Reuses the logits of constant patches.
//!
//! A patch with one value per channel gets the logits of the last such patch with the same values, bit for bit: the
//! network has no other input. In practice these patches are air, because clipping of a CT and padding give 0.

use ndarray::{ArcArray, ArrayView4, Ix4};

/// Logits `[logits, x, y, z]` with shared storage.
pub type Logits = ArcArray<f32, Ix4>;

/// Wraps a network and caches the logits of the last constant patch.
#[derive(Debug)]
pub struct ConstantPatchCache<F> {
    network: F,
    last: Option<(Vec<u32>, Logits)>,
    reused: usize,
}

impl<F: FnMut(ArrayView4<f32>) -> Logits> ConstantPatchCache<F> {
    /// `network` maps a patch `[channels, x, y, z]` to its logits and is deterministic.
    pub fn new(network: F) -> Self {
        Self { network, last: None, reused: 0 }
    }

    /// The logits of a patch.
    pub fn logits(&mut self, patch: ArrayView4<f32>) -> Logits {
        let Some(values) = constant_values(patch) else { return (self.network)(patch) };
        if let Some((last, logits)) = &self.last
            && *last == values
        {
            self.reused += 1;
            return logits.clone();
        }
        // Frees the old logits before the new ones are computed.
        self.last = None;
        let logits = (self.network)(patch);
        self.last = Some((values, logits.clone()));
        logits
    }

    /// Number of patches that reused logits.
    pub fn reused(&self) -> usize {
        self.reused
    }
}

/// The bits of the value of each channel, if the patch is constant.
fn constant_values(patch: ArrayView4<f32>) -> Option<Vec<u32>> {
    let value = |channel: ndarray::ArrayView3<f32>| {
        let first = channel.first()?.to_bits();
        channel.iter().all(|voxel| voxel.to_bits() == first).then_some(first)
    };
    patch.outer_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, s};

    use super::*;

    #[test]
    fn equal_constant_patches_in_a_row_are_computed_once() {
        let mut calls = 0;
        let mut cache = ConstantPatchCache::new(|patch: ArrayView4<f32>| {
            calls += 1;
            patch.mapv(|voxel| voxel + 1.0).into_shared()
        });
        let constant = |first: f32, second: f32| {
            let mut patch = Array4::from_elem((2, 2, 3, 2), first);
            patch.slice_mut(s![1, .., .., ..]).fill(second);
            patch
        };
        let mut odd = constant(0.0, 3.0);
        odd[[1, 1, 2, 1]] = 4.0;
        // Not constant; new; cached; another second channel; cached; negative zero; not constant.
        let patches = [
            odd.clone(),
            constant(0.0, 3.0),
            constant(0.0, 3.0),
            constant(0.0, 2.0),
            constant(0.0, 2.0),
            constant(-0.0, 2.0),
            odd,
        ];
        for patch in &patches {
            assert_eq!(cache.logits(patch.view()), patch.mapv(|voxel| voxel + 1.0).into_shared());
        }
        assert_eq!(cache.reused(), 2);
        assert_eq!(calls, 5);
    }
}
