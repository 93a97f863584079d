//! Exact Euclidean distance transform on an anisotropic grid.
//!
//! Squared distances are computed axis by axis as the lower envelope of parabolas (Felzenszwalb and Huttenlocher,
//! "Distance transforms of sampled functions", 2012). Only planes with sites and lanes with query voxels are visited, so
//! an isolated far voxel costs little.

use rayon::prelude::*;

/// A voxel index, `[x, y, z]`; of 32 bits, as surfaces have many.
pub(crate) type Voxel = [u32; 3];

/// Minimum number of lanes per rayon task.
const LANES_PER_TASK: usize = 64;

/// For each voxel of `from` the distance in mm to the nearest of `sites`, which are in row-major order (z fastest);
/// infinite without sites.
pub(crate) fn distances_by_transform(from: &[Voxel], sites: &[Voxel], spacing: [f64; 3]) -> Vec<f64> {
    if from.is_empty() || sites.is_empty() {
        return vec![f64::INFINITY; from.len()];
    }
    let queries = QueryLanes { ys: distinct(from, 1), zs: distinct(from, 2) };
    let planes: Vec<&[Voxel]> = sites.chunk_by(|a, b| a[0] == b[0]).collect();
    let mut squares = vec![0.0; planes.len() * queries.lanes()];
    squares
        .par_chunks_mut(queries.lanes())
        .zip(&planes)
        .for_each(|(squares, plane)| fill_plane(squares, plane, &queries, spacing));
    let mut order: Vec<usize> = (0..from.len()).collect();
    order.sort_unstable_by_key(|&index| (from[index][1], from[index][2], from[index][0]));
    let same_lane = |a: &usize, b: &usize| from[*a][1..] == from[*b][1..];
    let lanes: Vec<&[usize]> = order.chunk_by(same_lane).collect();
    let by_lane: Vec<f64> = lanes
        .par_iter()
        .with_min_len(LANES_PER_TASK)
        .flat_map_iter(|lane| {
            let column = queries.lane(from[lane[0]]);
            let mut envelope = Envelope::new(spacing[0]);
            for (plane, squares) in planes.iter().zip(squares.chunks(queries.lanes())) {
                envelope.push(plane[0][0], squares[column]);
            }
            let mut square_at = envelope.walk();
            lane.iter().map(|&index| square_at(from[index][0]).sqrt()).collect::<Vec<f64>>()
        })
        .collect();
    let mut distances = vec![0.0; from.len()];
    for (index, distance) in order.into_iter().zip(by_lane) {
        distances[index] = distance;
    }
    distances
}

/// The distinct y and z of the query voxels: lanes along x through them.
struct QueryLanes {
    ys: Vec<u32>,
    zs: Vec<u32>,
}

impl QueryLanes {
    fn lanes(&self) -> usize {
        self.ys.len() * self.zs.len()
    }

    /// Index of the lane along x through `voxel`.
    fn lane(&self, voxel: Voxel) -> usize {
        self.ys.partition_point(|&y| y < voxel[1]) * self.zs.len()
            + self.zs.partition_point(|&z| z < voxel[2])
    }
}

/// Squared distances in mm² within one plane of sites, at every query lane.
fn fill_plane(squares: &mut [f64], plane: &[Voxel], queries: &QueryLanes, spacing: [f64; 3]) {
    let width = queries.zs.len();
    let rows: Vec<&[Voxel]> = plane.chunk_by(|a, b| a[1] == b[1]).collect();
    let mut along_z = Vec::with_capacity(rows.len() * width);
    let mut envelope = Envelope::new(spacing[2]);
    for row in &rows {
        envelope.clear();
        row.iter().for_each(|site| envelope.push(site[2], 0.0));
        along_z.extend(queries.zs.iter().copied().map(envelope.walk()));
    }
    let mut envelope = Envelope::new(spacing[1]);
    for column in 0..width {
        envelope.clear();
        for (row, squares) in rows.iter().zip(along_z.chunks(width)) {
            envelope.push(row[0][1], squares[column]);
        }
        let mut square_at = envelope.walk();
        for (row, &y) in queries.ys.iter().enumerate() {
            squares[row * width + column] = square_at(y);
        }
    }
}

fn distinct(voxels: &[Voxel], axis: usize) -> Vec<u32> {
    let mut indices: Vec<u32> = voxels.iter().map(|voxel| voxel[axis]).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// The lower envelope of parabolas along one lane.
struct Envelope {
    spacing: f64,
    parabolas: Vec<Parabola>,
}

/// `height` + (distance to `index`)², the lowest of the envelope from `begin` on.
struct Parabola {
    index: u32,
    height: f64,
    begin: f64,
}

impl Envelope {
    fn new(spacing: f64) -> Self {
        Self { spacing, parabolas: Vec::new() }
    }

    fn clear(&mut self) {
        self.parabolas.clear();
    }

    /// Adds a parabola to the right of all others; `height` is in mm².
    fn push(&mut self, index: u32, height: f64) {
        let mut begin = f64::NEG_INFINITY;
        while let Some(last) = self.parabolas.last() {
            let apart = (index - last.index) as f64;
            let rise = (height - last.height) / (2.0 * self.spacing * self.spacing * apart);
            begin = (index + last.index) as f64 / 2.0 + rise;
            if begin > last.begin {
                break;
            }
            self.parabolas.pop();
            begin = f64::NEG_INFINITY;
        }
        self.parabolas.push(Parabola { index, height, begin });
    }

    /// Evaluates the envelope at non-decreasing indices.
    fn walk(&self) -> impl FnMut(u32) -> f64 {
        let mut current = 0;
        move |index| {
            while self.parabolas.get(current + 1).is_some_and(|next| next.begin <= index as f64) {
                current += 1;
            }
            let parabola = &self.parabolas[current];
            let apart = (index as f64 - parabola.index as f64) * self.spacing;
            parabola.height + apart * apart
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    /// Both sums have three terms of at most 1e4 mm²; they differ in the order of addition.
    const SUMMATION: f64 = 1e-12;

    fn voxels(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Voxel>> {
        btree_set((0..9_u32, 0..7_u32, 0..8_u32), count)
            .prop_map(|set| set.into_iter().map(|(x, y, z)| [x, y, z]).collect())
    }

    fn brute_force(from: Voxel, sites: &[Voxel], spacing: [f64; 3]) -> f64 {
        let distance = |site: &Voxel| {
            (0..3)
                .map(|axis| (spacing[axis] * site[axis].abs_diff(from[axis]) as f64).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        sites.iter().map(distance).fold(f64::INFINITY, f64::min)
    }

    proptest! {
        #[test]
        fn distances_equal_brute_force(
            from in voxels(0..40),
            sites in voxels(0..40),
            spacing in [0.3..5.0, 0.3..5.0, 0.3..5.0],
        ) {
            let found = distances_by_transform(&from, &sites, spacing);
            prop_assert_eq!(found.len(), from.len());
            for (&voxel, found) in from.iter().zip(found) {
                let expected = brute_force(voxel, &sites, spacing);
                let is_close = found.total_cmp(&expected).is_eq() || (found - expected).abs() <= SUMMATION;
                prop_assert!(is_close, "expected {expected}, found {found}");
            }
        }
    }

    #[test]
    fn a_distance_along_one_axis_is_exact() {
        assert_eq!(distances_by_transform(&[[0, 0, 0]], &[[0, 0, 7]], [1.0, 1.0, 0.7]), [7.0 * 0.7]);
        assert_eq!(distances_by_transform(&[[0, 5, 0]], &[[0, 0, 0], [0, 1, 0]], [1.0, 2.5, 1.0]), [10.0]);
    }

    #[test]
    fn a_block_of_3_by_4_by_12_mm_has_a_diagonal_of_13_mm() {
        assert_eq!(distances_by_transform(&[[3, 4, 12]], &[[0, 0, 0]], [1.0; 3]), [13.0]);
    }

    #[test]
    fn the_distance_is_infinite_without_sites() {
        assert_eq!(distances_by_transform(&[[0, 0, 0]], &[], [1.0; 3]), [f64::INFINITY]);
    }
}
