//! From voxels to points: each point along an axis is a sum of two voxels with factors 0, 1 or −1.

use super::{Block, PLANE, POINTS, tiles};

/// How the voxels under a tile become points along one axis.
pub(super) struct Transform {
    /// Voxels before the first output of a tile that it needs as well.
    lead: usize,
    /// Voxels that a tile needs.
    span: usize,
    /// Two of these voxels for each point, and their factors.
    pairs: [([usize; 2], [f32; 2]); POINTS],
}

/// Four inputs around two outputs.
pub(super) const OF_INPUT: Transform = Transform {
    lead: 1,
    span: 4,
    pairs: [([0, 2], [1.0, -1.0]), ([1, 2], [1.0, 1.0]), ([2, 1], [1.0, -1.0]), ([1, 3], [1.0, -1.0])],
};

/// The two gradients of a tile's outputs.
pub(super) const OF_GRADIENT: Transform = Transform {
    lead: 0,
    span: 2,
    pairs: [([0, 1], [1.0, 0.0]), ([0, 1], [1.0, 1.0]), ([0, 1], [1.0, -1.0]), ([0, 1], [0.0, -1.0])],
};

/// One sample's feature map, `[x, y, z, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Map<'a> {
    pub(super) values: &'a [f32],
    pub(super) size: [usize; 3],
    pub(super) channels: usize,
}

/// Room for the steps of a transform, used again from block to block.
#[derive(Default)]
pub(super) struct Steps {
    blank: Vec<f32>,
    along_x: Vec<f32>,
    along_y: Vec<f32>,
}

impl Map<'_> {
    /// The row along z at these padded coordinates, zeros outside.
    #[inline(always)]
    fn row<'a>(&'a self, blank: &'a [f32], lead: usize, x: usize, y: usize) -> &'a [f32] {
        let [x_size, y_size, z_size] = self.size;
        let length = z_size * self.channels;
        if x < lead || y < lead || x >= lead + x_size || y >= lead + y_size {
            return &blank[..length];
        }
        &self.values[((x - lead) * y_size + y - lead) * length..][..length]
    }
}

/// The points of plane `plane` for all tiles of a block: `[16 points, stride tiles, channels]`, of which
/// the block fills the first tiles.
#[inline(always)]
pub(super) fn transform(
    transform: &Transform,
    map: Map,
    block: Block,
    plane: usize,
    steps: &mut Steps,
    stride: usize,
    points: &mut [f32],
) {
    let Transform { lead, span, pairs } = transform;
    let (channels, z_size) = (map.channels, map.size[2]);
    let along_z = tiles(z_size);
    let length = (2 * along_z + span - 2) * channels;
    let Steps { blank, along_x, along_y } = steps;
    blank.resize(z_size * channels, 0.0);
    along_x.resize((2 * block.rows + span - 2) * length, 0.0);
    along_y.resize(block.rows * length, 0.0);

    let ([first, second], factors) = pairs[plane];
    for (row, into) in along_x.chunks_exact_mut(length).enumerate() {
        let row = |x: usize| map.row(blank, *lead, 2 * block.x + x, 2 * block.y + row);
        let (before, inside) = into.split_at_mut(lead * channels);
        let (inside, after) = inside.split_at_mut(z_size * channels);
        before.fill(0.0);
        after.fill(0.0);
        blend(inside, row(first), row(second), factors);
    }
    for (point_y, ([first, second], factors)) in pairs.iter().enumerate() {
        for (row, into) in along_y.chunks_exact_mut(length).enumerate() {
            let at = |y: usize| &along_x[(2 * row + y) * length..][..length];
            blend(into, at(*first), at(*second), *factors);
        }
        for (point_z, ([first, second], factors)) in pairs.iter().enumerate() {
            let points = &mut points[(point_y * POINTS + point_z) * stride * channels..];
            let tiles = points.chunks_exact_mut(along_z * channels).zip(along_y.chunks_exact(length));
            for (tiles, row) in tiles {
                for (tile, into) in tiles.chunks_exact_mut(channels).enumerate() {
                    let at = |z: usize| &row[(2 * tile + z) * channels..][..channels];
                    blend(into, at(*first), at(*second), *factors);
                }
            }
        }
    }
}

/// Room that [`transform`] needs for its result.
pub(super) fn room(stride: usize, channels: usize) -> usize {
    PLANE * stride * channels
}

#[inline(always)]
fn blend(into: &mut [f32], first: &[f32], second: &[f32], factors: [f32; 2]) {
    for ((into, first), second) in into.iter_mut().zip(first).zip(second) {
        *into = first.mul_add(factors[0], second * factors[1]);
    }
}
