//! Partitions a volume into columns, so that the logits of one column fit into memory.
//!
//! A column spans the volume along x. A patch that intersects several columns is computed once per column; the
//! partition with the fewest patches is chosen.

use std::ops::Range;

/// A rectangle of the y-z plane, for all x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileColumn {
    /// Voxels along y.
    pub y: Range<usize>,
    /// Voxels along z.
    pub z: Range<usize>,
}

/// The patches along one axis.
#[derive(Debug)]
pub(super) struct AxisTiling {
    /// Length of the axis in voxels.
    pub(super) length: usize,
    /// Length of a patch in voxels.
    pub(super) patch: usize,
    /// First voxels of the patches, ascending.
    pub(super) starts: Vec<usize>,
}

/// Intervals of an axis, and the number of patches that intersect them in total.
struct Partition {
    pieces: Vec<Range<usize>>,
    patches: usize,
}

impl AxisTiling {
    /// The piece and the next voxel, which interpolation behind its last voxel needs.
    pub(super) fn with_neighbor(&self, piece: &Range<usize>) -> Range<usize> {
        piece.start..(piece.end + 1).min(self.length)
    }

    /// First voxels of the patches that intersect a piece and its next voxel.
    pub(super) fn intersecting(&self, piece: &Range<usize>) -> impl Iterator<Item = usize> {
        let Range { start, end } = self.with_neighbor(piece);
        self.starts.iter().copied().filter(move |first| *first < end && first + self.patch > start)
    }

    /// The partition into pieces of at most `longest` voxels with the fewest patches, by dynamic programming.
    fn partition(&self, longest: usize) -> Partition {
        let passed: Vec<usize> = (0..self.length)
            .map(|voxel| self.starts.partition_point(|first| first + self.patch <= voxel))
            .collect();
        // Per end of the last piece: patches of all pieces so far, and where that piece starts.
        let mut fewest = vec![(0, 0)];
        for end in 1..=self.length {
            let started = self.starts.partition_point(|first| *first < (end + 1).min(self.length));
            let starts = end.saturating_sub(longest)..end;
            let best = starts.map(|start| (fewest[start].0 + started - passed[start], start)).min();
            fewest.push(best.expect("a piece has at least one voxel"));
        }
        let mut pieces = Vec::new();
        let mut end = self.length;
        while end > 0 {
            pieces.push(fewest[end].1..end);
            end = fewest[end].1;
        }
        pieces.reverse();
        Partition { pieces, patches: fewest[self.length].0 }
    }
}

/// The partition of the y-z plane into columns of at most `area` voxels including their next voxels (or as few as
/// possible) with the fewest patches.
pub(super) fn columns(y: &AxisTiling, z: &AxisTiling, area: usize) -> Vec<TileColumn> {
    let mut best: Option<[Partition; 2]> = None;
    for count in 1..=z.length {
        let width = z.length.div_ceil(count);
        let rows = area / z.with_neighbor(&(0..width)).len();
        if rows < 2.min(y.length) && width > 1 {
            continue;
        }
        let longest = if rows >= y.length { y.length } else { rows.saturating_sub(1).max(1) };
        let along_z = z.partition(width);
        let fewest = best.as_ref().map_or(usize::MAX, |[y, z]| y.patches * z.patches);
        if along_z.patches * y.starts.len() >= fewest {
            break;
        }
        let along_y = y.partition(longest);
        if along_y.patches * along_z.patches < fewest {
            best = Some([along_y, along_z]);
        }
    }
    let [y, z] = best.expect("columns of one voxel are always tried").map(|partition| partition.pieces);
    y.iter().flat_map(|y| z.iter().map(|z| TileColumn { y: y.clone(), z: z.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiling(length: usize, patch: usize, step: usize) -> AxisTiling {
        let count = (length - patch).div_ceil(step) + 1;
        AxisTiling { length, patch, starts: (0..count).map(|i| (i * step).min(length - patch)).collect() }
    }

    #[test]
    fn a_plane_within_the_limit_is_one_column() {
        let (y, z) = (tiling(40, 16, 12), tiling(30, 16, 8));
        assert_eq!(columns(&y, &z, 1200), [TileColumn { y: 0..40, z: 0..30 }]);
    }

    #[test]
    fn the_partition_has_the_fewest_patches() {
        // Patches at 0–15, 12–27, 24–39. Two pieces of at most 26: a border between voxels 16 and 24 crosses the
        // second patch only.
        let partition = tiling(40, 16, 12).partition(26);
        assert_eq!(partition.patches, 4);
        assert!(
            partition.pieces.len() == 2 && (16..=23).contains(&partition.pieces[0].end),
            "{:?}",
            partition.pieces
        );
        // With three pieces or more, another patch is counted twice.
        assert!(tiling(40, 16, 12).partition(13).patches >= 5);
    }

    #[test]
    fn columns_are_disjoint_and_within_the_area() {
        let (y, z) = (tiling(37, 16, 5), tiling(29, 8, 4));
        for area in [0, 4, 9, 50, 200, 600] {
            let mut counts = vec![0; 37 * 29];
            for column in columns(&y, &z, area) {
                let buffered = y.with_neighbor(&column.y).len() * z.with_neighbor(&column.z).len();
                assert!(buffered <= area.max(4), "{column:?} of {area}");
                for y in column.y {
                    column.z.clone().for_each(|z| counts[y * 29 + z] += 1);
                }
            }
            assert!(counts.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn patches_intersect_a_piece_or_its_next_voxel() {
        let tiling = tiling(40, 16, 12);
        assert_eq!(tiling.intersecting(&(0..11)).collect::<Vec<_>>(), [0]);
        assert_eq!(tiling.intersecting(&(0..12)).collect::<Vec<_>>(), [0, 12]);
        assert_eq!(tiling.intersecting(&(16..40)).collect::<Vec<_>>(), [12, 24]);
    }
}
