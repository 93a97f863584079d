//! Transforms of voxels to points: along an axis, each point is a sum of two voxels with factors 0, 1 or −1.

use super::{PLANE, POINTS, TileBlock, tiles};

/// Transform of the voxels of a tile along one axis.
pub(super) struct Transform {
    /// Voxels of a tile before its first output.
    lead: usize,
    /// Voxels of a tile.
    span: usize,
    /// Two voxels for each point, and their factors.
    pairs: [([usize; 2], [f32; 2]); POINTS],
}

/// Bᵀ of Lavin and Gray: four inputs around two outputs.
pub(super) const INPUT_TRANSFORM: Transform = Transform {
    lead: 1,
    span: 4,
    pairs: [([0, 2], [1.0, -1.0]), ([1, 2], [1.0, 1.0]), ([2, 1], [1.0, -1.0]), ([1, 3], [1.0, -1.0])],
};

/// A of Lavin and Gray: the gradients of the two outputs of a tile.
pub(super) const GRADIENT_TRANSFORM: Transform = Transform {
    lead: 0,
    span: 2,
    pairs: [([0, 1], [1.0, 0.0]), ([0, 1], [1.0, 1.0]), ([0, 1], [1.0, -1.0]), ([0, 1], [0.0, -1.0])],
};

/// Feature map of one sample, `[x, y, z, channels]`.
#[derive(Clone, Copy)]
pub(super) struct FeatureMap<'a> {
    pub(super) values: &'a [f32],
    pub(super) size: [usize; 3],
    pub(super) channels: usize,
}

/// Buffers of a transform, reused from block to block.
#[derive(Default)]
pub(super) struct TransformScratch {
    zero_row: Vec<f32>,
    along_x: Vec<f32>,
    along_y: Vec<f32>,
}

impl FeatureMap<'_> {
    /// The row along z at these padded coordinates; zeros outside of the map.
    #[inline(always)]
    fn row<'a>(&'a self, zero_row: &'a [f32], lead: usize, x: usize, y: usize) -> &'a [f32] {
        let [x_size, y_size, z_size] = self.size;
        let length = z_size * self.channels;
        if x < lead || y < lead || x >= lead + x_size || y >= lead + y_size {
            return &zero_row[..length];
        }
        &self.values[((x - lead) * y_size + y - lead) * length..][..length]
    }
}

/// Points of plane `plane` for all tiles of a block: `[16 points, stride tiles, channels]`, of which the block fills the
/// first tiles.
#[inline(always)]
pub(super) fn transform(
    transform: &Transform,
    map: FeatureMap,
    block: TileBlock,
    plane: usize,
    scratch: &mut TransformScratch,
    stride: usize,
    points: &mut [f32],
) {
    let Transform { lead, span, pairs } = transform;
    let (channels, z_size) = (map.channels, map.size[2]);
    let along_z = tiles(z_size);
    let length = (2 * along_z + span - 2) * channels;
    let TransformScratch { zero_row, along_x, along_y } = scratch;
    zero_row.resize(z_size * channels, 0.0);
    along_x.resize((2 * block.rows + span - 2) * length, 0.0);
    along_y.resize(block.rows * length, 0.0);

    let ([first, second], factors) = pairs[plane];
    for (row, sums) in along_x.chunks_exact_mut(length).enumerate() {
        let row = |x: usize| map.row(zero_row, *lead, 2 * block.x + x, 2 * block.y + row);
        let (before, inside) = sums.split_at_mut(lead * channels);
        let (inside, after) = inside.split_at_mut(z_size * channels);
        before.fill(0.0);
        after.fill(0.0);
        combine(inside, row(first), row(second), factors);
    }
    for (point_y, ([first, second], factors)) in pairs.iter().enumerate() {
        for (row, sums) in along_y.chunks_exact_mut(length).enumerate() {
            let input_row = |y: usize| &along_x[(2 * row + y) * length..][..length];
            combine(sums, input_row(*first), input_row(*second), *factors);
        }
        for (point_z, ([first, second], factors)) in pairs.iter().enumerate() {
            let points = &mut points[(point_y * POINTS + point_z) * stride * channels..];
            let tiles = points.chunks_exact_mut(along_z * channels).zip(along_y.chunks_exact(length));
            for (tiles, row) in tiles {
                for (tile, point) in tiles.chunks_exact_mut(channels).enumerate() {
                    let voxel = |z: usize| &row[(2 * tile + z) * channels..][..channels];
                    combine(point, voxel(*first), voxel(*second), *factors);
                }
            }
        }
    }
}

/// Length of the points of [`transform`].
pub(super) fn points_len(stride: usize, channels: usize) -> usize {
    PLANE * stride * channels
}

#[inline(always)]
fn combine(sums: &mut [f32], first: &[f32], second: &[f32], factors: [f32; 2]) {
    for ((sum, first), second) in sums.iter_mut().zip(first).zip(second) {
        *sum = first.mul_add(factors[0], second * factors[1]);
    }
}
