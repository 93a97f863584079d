//! How a volume is cut, so that the logits of one part at a time fit into memory.
//!
//! A column runs through the whole volume along x. Each is covered with patches by itself; a patch that
//! reaches into several columns is computed for each of them, so the cut that needs the fewest is taken.

use std::ops::Range;

/// A part of the section y × z, the same for all x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileColumn {
    /// Voxels along y.
    pub y: Range<usize>,
    /// Voxels along z.
    pub z: Range<usize>,
}

/// Where patches stand along one axis.
#[derive(Debug)]
pub(super) struct AxisTiling {
    /// Voxels of the axis.
    pub(super) length: usize,
    /// Voxels of a patch.
    pub(super) patch: usize,
    /// First voxels of the patches, in order.
    pub(super) starts: Vec<usize>,
}

/// Pieces of an axis, and how many patches reach them in all.
struct Cut {
    pieces: Vec<Range<usize>>,
    patches: usize,
}

impl AxisTiling {
    /// The voxels that a piece must hold for what lies between its last voxel and the next piece's first:
    /// one voxel more than the piece itself.
    pub(super) fn with_neighbor(&self, piece: &Range<usize>) -> Range<usize> {
        piece.start..(piece.end + 1).min(self.length)
    }

    /// The first voxels of the patches that reach the voxels of a piece and its neighbor.
    pub(super) fn reaching(&self, piece: &Range<usize>) -> impl Iterator<Item = usize> {
        let Range { start, end } = self.with_neighbor(piece);
        self.starts.iter().copied().filter(move |first| *first < end && first + self.patch > start)
    }

    /// Cuts the axis into pieces of at most `longest` voxels that the fewest patches reach.
    fn cut(&self, longest: usize) -> Cut {
        let passed: Vec<usize> = (0..self.length)
            .map(|voxel| self.starts.partition_point(|first| first + self.patch <= voxel))
            .collect();
        // For each end of a last piece: the patches of all pieces up to there, and where it starts.
        let mut fewest = vec![(0, 0)];
        for end in 1..=self.length {
            let reached = self.starts.partition_point(|first| *first < (end + 1).min(self.length));
            let starts = end.saturating_sub(longest)..end;
            let best = starts.map(|start| (fewest[start].0 + reached - passed[start], start)).min();
            fewest.push(best.expect("a piece has at least one voxel"));
        }
        let mut pieces = Vec::new();
        let mut end = self.length;
        while end > 0 {
            pieces.push(fewest[end].1..end);
            end = fewest[end].1;
        }
        pieces.reverse();
        Cut { pieces, patches: fewest[self.length].0 }
    }
}

/// Cuts the section y × z into columns of at most `area` voxels with their neighbors (or as few as can be),
/// so that the fewest patches are computed.
pub(super) fn columns(y: &AxisTiling, z: &AxisTiling, area: usize) -> Vec<TileColumn> {
    let mut best: Option<[Cut; 2]> = None;
    for count in 1..=z.length {
        let width = z.length.div_ceil(count);
        let rows = area / z.with_neighbor(&(0..width)).len();
        if rows < 2.min(y.length) && width > 1 {
            continue;
        }
        let longest = if rows >= y.length { y.length } else { rows.saturating_sub(1).max(1) };
        let cut_z = z.cut(width);
        let fewest = best.as_ref().map_or(usize::MAX, |[y, z]| y.patches * z.patches);
        if cut_z.patches * y.starts.len() >= fewest {
            break;
        }
        let cut_y = y.cut(longest);
        if cut_y.patches * cut_z.patches < fewest {
            best = Some([cut_y, cut_z]);
        }
    }
    let [y, z] = best.expect("columns of one voxel are always tried").map(|cut| cut.pieces);
    y.iter().flat_map(|y| z.iter().map(|z| TileColumn { y: y.clone(), z: z.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand(length: usize, patch: usize, step: usize) -> AxisTiling {
        let count = (length - patch).div_ceil(step) + 1;
        AxisTiling { length, patch, starts: (0..count).map(|i| (i * step).min(length - patch)).collect() }
    }

    #[test]
    fn a_section_that_fits_is_not_cut() {
        let (y, z) = (stand(40, 16, 12), stand(30, 16, 8));
        assert_eq!(columns(&y, &z, 1200), [TileColumn { y: 0..40, z: 0..30 }]);
    }

    #[test]
    fn pieces_lie_where_the_fewest_patches_reach_them() {
        // Patches at 0–15, 12–27, 24–39. Two pieces of at most 26: a cut behind voxel 15 (and its neighbor
        // 16) and before 24 would cross the second patch alone, but a piece holds its neighbor.
        let cut = stand(40, 16, 12).cut(26);
        assert_eq!(cut.patches, 4);
        assert!(cut.pieces.len() == 2 && (16..=23).contains(&cut.pieces[0].end), "{:?}", cut.pieces);
        // In thirds and less, each overlap is crossed or a middle piece sees its patch twice.
        assert!(stand(40, 16, 12).cut(13).patches >= 5);
    }

    #[test]
    fn columns_hold_every_voxel_once_and_keep_to_their_area() {
        let (y, z) = (stand(37, 16, 5), stand(29, 8, 4));
        for area in [0, 4, 9, 50, 200, 600] {
            let mut seen = vec![0; 37 * 29];
            for column in columns(&y, &z, area) {
                let held = y.with_neighbor(&column.y).len() * z.with_neighbor(&column.z).len();
                assert!(held <= area.max(4), "{column:?} of {area}");
                for y in column.y {
                    column.z.clone().for_each(|z| seen[y * 29 + z] += 1);
                }
            }
            assert!(seen.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn the_patches_that_reach_a_piece_are_those_with_a_voxel_of_it_or_its_neighbor() {
        let stand = stand(40, 16, 12);
        assert_eq!(stand.reaching(&(0..11)).collect::<Vec<_>>(), [0]);
        assert_eq!(stand.reaching(&(0..12)).collect::<Vec<_>>(), [0, 12]);
        assert_eq!(stand.reaching(&(16..40)).collect::<Vec<_>>(), [12, 24]);
    }
}
