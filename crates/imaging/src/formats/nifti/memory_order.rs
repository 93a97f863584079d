//! The file runs x fastest, a volume z fastest: one reversal of the axes leads either way.

use rayon::prelude::*;

/// Sections moved together: as many voxels of four bytes as a cache line holds.
const SECTIONS: usize = 16;

/// Converts `source`, whose last axis of `shape` runs fastest, into an array whose first runs fastest.
pub(super) fn reverse_axes<S, T>(source: &[S], shape: [usize; 3], convert: impl Fn(S) -> T + Sync) -> Vec<T>
where
    S: Copy + Sync,
    T: Clone + Default + Send,
{
    let [slow, middle, fast] = shape;
    let mut target = vec![T::default(); source.len()];
    target.par_chunks_mut((SECTIONS * slow * middle).max(1)).enumerate().for_each(|(chunk_index, chunk)| {
        let first = chunk_index * SECTIONS;
        let width = SECTIONS.min(fast - first);
        for j in 0..middle {
            for i in 0..slow {
                let run = &source[(i * middle + j) * fast + first..][..width];
                for (k, &value) in run.iter().enumerate() {
                    chunk[(k * middle + j) * slow + i] = convert(value);
                }
            }
        }
    });
    target
}
