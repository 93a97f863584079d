//! New slices that tasks fill side by side, so that no thread writes zeros to all of one before.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::scatter::Scatter;

/// How a new slice is cut: into groups, and each of these into blocks; the last one may be shorter.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) values: usize,
    pub(crate) group: usize,
    pub(crate) block: usize,
}

impl Cut {
    /// One group.
    pub(crate) fn blocks(values: usize, block: usize) -> Self {
        Self { values, group: values, block }
    }
}

/// A vector made block by block, in parallel. `make` gets what a thread uses again, where the block begins, and the
/// block, which is zero and still in the cache.
pub(crate) fn by_blocks<R: Default>(cut: Cut, make: impl Fn(&mut R, usize, &mut [f32]) + Sync) -> Vec<f32> {
    let Cut { values, group, block } = cut;
    let (group, block) = (group.max(1), block.max(1));
    let mut vector = Vec::with_capacity(values);
    let groups = vector.spare_capacity_mut()[..values].par_chunks_mut(group).enumerate();
    groups.for_each(|(index, values)| {
        let blocks = values.par_chunks_mut(block).enumerate();
        blocks.for_each_init(R::default, |room, (place, values)| {
            values.fill(MaybeUninit::new(0.0));
            // SAFETY: it was filled a line above.
            make(room, index * group + place * block, unsafe { values.assume_init_mut() });
        });
    });
    // SAFETY: the blocks are all there is, and each of them was filled.
    unsafe { vector.set_len(values) };
    vector
}

/// A vector whose places are written by the tasks of `write`, and what that returns.
///
/// # Safety
///
/// They write to every place.
pub(crate) unsafe fn by_places<T>(values: usize, write: impl FnOnce(&Scatter) -> T) -> (Vec<f32>, T) {
    let mut vector = Vec::with_capacity(values);
    let returned = write(&Scatter::new(&mut vector.spare_capacity_mut()[..values]));
    // SAFETY: the caller promises that every place was written.
    unsafe { vector.set_len(values) };
    (vector, returned)
}
