//! Forward pass, block by block.

use pulp::{Arch, Simd, WithSimd};

use super::{
    PLANE, POINTS, TileBlock, blocks, filter, tiles,
    transforms::{self, FeatureMap, INPUT_TRANSFORM, TransformScratch},
};
use crate::{
    conv3d::cpu::ConvShape,
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panel},
    uninit::{Chunking, par_init_chunks},
};

/// `[batch, x, y, z, out_channels]` from `[batch, x, y, z, in_channels]` and `[3, 3, 3, in_channels, out_channels]`.
pub(in crate::conv3d) fn forward(shape: ConvShape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let arch = Arch::new();
    let panels = Panels::new(shape.out_channels);
    let filters = filter::transform(shape, panels, weight);
    let [x_size, y_size, z_size] = shape.size;
    let plane_voxels = y_size * z_size;
    let (group, block) = (x_size * plane_voxels * shape.out_channels, 2 * plane_voxels * shape.out_channels);
    let chunking = Chunking { len: shape.batch * group, group, block };
    par_init_chunks(chunking, |scratch: &mut WinogradScratch, offset, output| {
        let sample = x_size * plane_voxels * shape.in_channels;
        let values = &input[offset / group * sample..][..sample];
        let map = FeatureMap { values, size: shape.size, channels: shape.in_channels };
        for block in blocks(offset % group / block, shape.size) {
            arch.dispatch(BlockForward {
                map,
                block,
                panels,
                filters: &filters,
                out_channels: shape.out_channels,
                scratch,
                output,
            });
        }
    })
}

/// Buffers a thread reuses.
#[derive(Default)]
struct WinogradScratch {
    transform: TransformScratch,
    points: Vec<f32>,
    products: Vec<f32>,
}

/// One block: transform of the input, products with the transformed filter, inverse transform.
struct BlockForward<'a> {
    map: FeatureMap<'a>,
    block: TileBlock,
    panels: Panels,
    filters: &'a [f32],
    out_channels: usize,
    scratch: &'a mut WinogradScratch,
    /// The two yz-planes of this tile index along x, `[2, y, z, out_channels]`.
    output: &'a mut [f32],
}

impl WithSimd for BlockForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, block, panels, filters, out_channels, scratch, output } = self;
        let (in_channels, width) = (map.channels, panels.width);
        let along_z = tiles(map.size[2]);
        let stride = (block.rows * along_z).next_multiple_of(panels.tile_rows);
        let WinogradScratch { transform, points, products } = scratch;
        points.resize(transforms::points_len(stride, in_channels), 0.0);
        products.resize(transforms::points_len(stride, width), 0.0);
        for plane in 0..POINTS {
            transforms::transform(&INPUT_TRANSFORM, map, block, plane, transform, stride, points);
            for panel in 0..panels.count {
                let filters = &filters[(panel * POINTS + plane) * PLANE * in_channels * width..];
                for point in 0..PLANE {
                    let lhs = Lhs {
                        values: &points[point * stride * in_channels..],
                        row_stride: in_channels,
                        k_stride: 1,
                    };
                    let rhs = Rhs { values: &filters[point * in_channels * width..], k_stride: width };
                    let values = &mut products[point * stride * width..];
                    let dst = Dst { values, row_stride: width, rows: stride, beta: Beta::Zero };
                    multiply_panel(simd, panels, in_channels, lhs, rhs, dst);
                }
                let columns = [panel * width, panels.valid_columns(panel, out_channels)];
                let mut output =
                    OutputPlanes { size: map.size, channels: out_channels, columns, plane, values: output };
                for tile in 0..block.rows * along_z {
                    let tile_index = [block.x, block.y + tile / along_z, tile % along_z];
                    output.add_tile(simd, &products[tile * width..], stride * width, tile_index);
                }
            }
        }
    }
}

/// Destination of the products of one plane of points.
struct OutputPlanes<'a> {
    size: [usize; 3],
    channels: usize,
    /// First channel of the panel, and how many it has.
    columns: [usize; 2],
    plane: usize,
    values: &'a mut [f32],
}

impl OutputPlanes<'_> {
    /// Inverse transform Aᵀ: adds the 4² points of one tile in this plane, `stride` apart, to its outputs. Along each
    /// axis the first output is the sum of points 0, 1 and 2, the second that of 1, −2 and −3.
    #[inline(always)]
    fn add_tile<S: Simd>(&mut self, simd: S, products: &[f32], stride: usize, tile: [usize; 3]) {
        let [first, columns] = self.columns;
        let sums = |[a, b, c, d]: [S::f32s; POINTS]| {
            let second = simd.sub_f32s(simd.sub_f32s(b, c), d);
            [simd.add_f32s(a, simd.add_f32s(b, c)), second]
        };
        for column in (0..columns).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(columns - column);
            let zero = simd.splat_f32s(0.0);
            let mut along_z = [[zero; 2]; POINTS];
            for (y, along_z) in along_z.iter_mut().enumerate() {
                let mut points = [zero; POINTS];
                for (z, point) in points.iter_mut().enumerate() {
                    let at = (y * POINTS + z) * stride + column;
                    *point = S::as_simd_f32s(&products[at..at + S::F32_LANES]).0[0];
                }
                *along_z = sums(points);
            }
            for z in 0..2 {
                let [a, b, c, d] = along_z;
                let pair = sums([a[z], b[z], c[z], d[z]]);
                for (y, sum) in pair.into_iter().enumerate() {
                    self.add_row(simd, sum, tile, [y, z], [first + column, count]);
                }
            }
        }
    }

    /// Adds to the outputs of each yz-plane to which this plane of points contributes.
    #[inline(always)]
    fn add_row<S: Simd>(
        &mut self,
        simd: S,
        sum: S::f32s,
        tile: [usize; 3],
        [y, z]: [usize; 2],
        channels: [usize; 2],
    ) {
        let [x_size, y_size, z_size] = self.size;
        let (y, z) = (2 * tile[1] + y, 2 * tile[2] + z);
        if y >= y_size || z >= z_size {
            return;
        }
        for x in 0..2 {
            let contributes = if x == 0 { self.plane < 3 } else { self.plane > 0 };
            if !contributes || 2 * tile[0] + x >= x_size {
                continue;
            }
            let at = ((x * y_size + y) * z_size + z) * self.channels + channels[0];
            let output = &mut self.values[at..at + channels[1]];
            let is_first = self.plane == x;
            let value = match (is_first, x == 1 && self.plane > 1) {
                (true, _) => sum,
                (false, false) => simd.add_f32s(load(simd, output), sum),
                (false, true) => simd.sub_f32s(load(simd, output), sum),
            };
            store(simd, output, value);
        }
    }
}

#[inline(always)]
fn load<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    if values.len() == S::F32_LANES { S::as_simd_f32s(values).0[0] } else { simd.partial_load_f32s(values) }
}

#[inline(always)]
fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    if values.len() == S::F32_LANES {
        S::as_mut_simd_f32s(values).0[0] = vector;
    } else {
        simd.partial_store_f32s(values, vector);
    }
}
