//! Patches that need no pass through the network of their own.
//!
//! The rule: a patch whose channels each have one value in all voxels gets the logits of the last patch with
//! just those values, bit for bit. The network sees nothing else of a patch, so they are its own logits.
//! What the value is does not matter, but in practice it is air: the window of a CT turns everything below
//! its low end into 0, and padding is 0 too.

use ndarray::{ArcArray, ArrayView4, Ix4};

/// Logits `[outputs, x, y, z]` that can be given twice without being copied.
pub type Logits = ArcArray<f32, Ix4>;

/// A network that is not asked twice about the same constant patch.
#[derive(Debug)]
pub struct ConstantPatchCache<F> {
    network: F,
    last: Option<(Vec<u32>, Logits)>,
    reused: usize,
}

impl<F: FnMut(ArrayView4<f32>) -> Logits> ConstantPatchCache<F> {
    /// `network` gives the logits of a patch `[channels, x, y, z]`, the same for the same patch.
    pub fn new(network: F) -> Self {
        Self { network, last: None, reused: 0 }
    }

    /// The logits of a patch.
    pub fn logits(&mut self, patch: ArrayView4<f32>) -> Logits {
        let Some(values) = constant(patch) else { return (self.network)(patch) };
        if let Some((last, logits)) = &self.last
            && *last == values
        {
            self.reused += 1;
            return logits.clone();
        }
        // The old logits make room before the new ones are made.
        self.last = None;
        let logits = (self.network)(patch);
        self.last = Some((values, logits.clone()));
        logits
    }

    /// How many patches needed no pass of their own.
    pub fn reused(&self) -> usize {
        self.reused
    }
}

/// The bits of each channel's one value.
fn constant(patch: ArrayView4<f32>) -> Option<Vec<u32>> {
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
    fn the_network_is_asked_once_about_each_run_of_one_constant() {
        let mut asked = 0;
        let mut sharing = ConstantPatchCache::new(|patch: ArrayView4<f32>| {
            asked += 1;
            patch.mapv(|voxel| voxel + 1.0).into_shared()
        });
        let constant = |first: f32, second: f32| {
            let mut patch = Array4::from_elem((2, 2, 3, 2), first);
            patch.slice_mut(s![1, .., .., ..]).fill(second);
            patch
        };
        let mut odd = constant(0.0, 3.0);
        odd[[1, 1, 2, 1]] = 4.0;
        // Not constant; new; seen; another second channel; seen; zero of another sign; not constant.
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
            assert_eq!(sharing.logits(patch.view()), patch.mapv(|voxel| voxel + 1.0).into_shared());
        }
        assert_eq!(sharing.reused(), 2);
        assert_eq!(asked, 5);
    }
}
