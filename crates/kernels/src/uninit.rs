//! Output buffers that parallel tasks initialize, without a pass that zeroes them first.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::scatter::Scatter;

/// How a buffer is divided: into groups, and each group into blocks; the last of either may be shorter.
#[derive(Clone, Copy)]
pub(crate) struct Chunking {
    pub(crate) len: usize,
    pub(crate) group: usize,
    pub(crate) block: usize,
}

impl Chunking {
    /// A single group.
    pub(crate) fn blocks(len: usize, block: usize) -> Self {
        Self { len, group: len, block }
    }
}

/// A vector of `chunking.len` values made block by block, in parallel. `init` gets the thread's scratch memory, the
/// offset of the block, and the block, zeroed and still in the cache.
pub(crate) fn par_init_chunks<S: Default>(
    chunking: Chunking,
    init: impl Fn(&mut S, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let Chunking { len, group, block } = chunking;
    let (group, block) = (group.max(1), block.max(1));
    let mut values = Vec::with_capacity(len);
    let groups = values.spare_capacity_mut()[..len].par_chunks_mut(group).enumerate();
    groups.for_each(|(group_index, values)| {
        let blocks = values.par_chunks_mut(block).enumerate();
        blocks.for_each_init(S::default, |scratch, (block_index, values)| {
            values.fill(MaybeUninit::new(0.0));
            // SAFETY: it was filled a line above.
            init(scratch, group_index * group + block_index * block, unsafe { values.assume_init_mut() });
        });
    });
    // SAFETY: the blocks cover all `len` values, and each of them was filled.
    unsafe { values.set_len(len) };
    values
}

/// A vector of `len` values that the tasks of `init` write in any order, and what `init` returns.
///
/// # Safety
///
/// They write every value.
pub(crate) unsafe fn par_init_scatter<T>(len: usize, init: impl FnOnce(&Scatter) -> T) -> (Vec<f32>, T) {
    let mut values = Vec::with_capacity(len);
    let returned = init(&Scatter::new(&mut values.spare_capacity_mut()[..len]));
    // SAFETY: the caller promises that every value was written.
    unsafe { values.set_len(len) };
    (values, returned)
}
