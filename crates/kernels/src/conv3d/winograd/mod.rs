//! The 3³ convolution by minimal filtering F(2³, 3³): a tile of 2³ outputs costs 64 multiplications per pair
//! of channels instead of 216 (Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin and Gray,
//! 2016, in two dimensions).
//!
//! Along each axis four inputs and three taps become four *points* each, which are multiplied elementwise; sums over
//! channels are products of small matrices, one for each of the 4³ points. All factors are 1, ½ and their negatives:
//! the transforms cost float32 about one digit of its last place.

mod filter;
mod forward;
mod gradient;
mod transforms;

pub(super) use forward::forward;
pub(super) use gradient::weight_gradient;

/// Points along an axis.
const POINTS: usize = 4;
/// Points in a plane of equal x.
const PLANE: usize = POINTS * POINTS;
/// Tiles transformed together: their points stay in the L2 cache between the steps.
const BLOCK_TILES: usize = 96;

/// Rows of tiles (along z) at one x.
#[derive(Clone, Copy)]
struct TileBlock {
    /// Index of the tiles along x.
    x: usize,
    /// Index of the first row along y.
    y: usize,
    rows: usize,
}

/// Tiles along an axis; the last one may exceed it.
fn tiles(length: usize) -> usize {
    length.div_ceil(2)
}

/// The blocks at one x.
fn blocks(x: usize, size: [usize; 3]) -> impl Iterator<Item = TileBlock> {
    let (along_y, along_z) = (tiles(size[1]), tiles(size[2]));
    let step = (BLOCK_TILES / along_z).max(1);
    (0..along_y).step_by(step).map(move |y| TileBlock { x, y, rows: step.min(along_y - y) })
}
