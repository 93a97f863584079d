//! From an input and a filter to the output, block by block.

use pulp::{Arch, Simd, WithSimd};

use super::{
    Block, PLANE, POINTS, blocks, filter,
    points::{self, Map, OF_INPUT, Steps},
    tiles,
};
use crate::{
    conv3d::cpu::Shape,
    fresh::{Cut, by_blocks},
    product::{Into, Left, Panels, Right, Sums, multiply_panel},
};

/// `[batch, x, y, z, outputs]` from `[batch, x, y, z, inputs]` and `[3, 3, 3, inputs, outputs]`.
pub(in crate::conv3d) fn forward(shape: Shape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let arch = Arch::new();
    let panels = Panels::of(shape.outputs);
    let filters = filter::transform(shape, panels, weight);
    let [x_size, y_size, z_size] = shape.size;
    let section = y_size * z_size;
    let (group, block) = (x_size * section * shape.outputs, 2 * section * shape.outputs);
    let cut = Cut { values: shape.batch * group, group, block };
    by_blocks(cut, |room: &mut Room, at, output| {
        let sample = x_size * section * shape.inputs;
        let values = &input[at / group * sample..][..sample];
        let map = Map { values, size: shape.size, channels: shape.inputs };
        for block in blocks(at % group / block, shape.size) {
            arch.dispatch(Forward {
                map,
                block,
                panels,
                filters: &filters,
                outputs: shape.outputs,
                room,
                output,
            });
        }
    })
}

/// What one thread uses again from block to block.
#[derive(Default)]
struct Room {
    steps: Steps,
    points: Vec<f32>,
    products: Vec<f32>,
}

/// One block: input points, products with the filters' points, and back to outputs.
struct Forward<'a> {
    map: Map<'a>,
    block: Block,
    panels: Panels,
    filters: &'a [f32],
    outputs: usize,
    room: &'a mut Room,
    /// The two sections of this x, `[2, y, z, outputs]`.
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { map, block, panels, filters, outputs, room, output } = self;
        let (inputs, width) = (map.channels, panels.width);
        let along_z = tiles(map.size[2]);
        let stride = (block.rows * along_z).next_multiple_of(panels.rows);
        let Room { steps, points, products } = room;
        points.resize(points::room(stride, inputs), 0.0);
        products.resize(points::room(stride, width), 0.0);
        for plane in 0..POINTS {
            points::transform(&OF_INPUT, map, block, plane, steps, stride, points);
            for panel in 0..panels.count {
                let filters = &filters[(panel * POINTS + plane) * PLANE * inputs * width..];
                for within in 0..PLANE {
                    let left = Left { values: &points[within * stride * inputs..], row: inputs, term: 1 };
                    let right = Right { values: &filters[within * inputs * width..], term: width };
                    let values = &mut products[within * stride * width..];
                    let into = Into { values, row: width, rows: stride, sums: Sums::Fresh };
                    multiply_panel(simd, panels, inputs, left, right, into);
                }
                let columns = [panel * width, panels.filled(panel, outputs)];
                let mut output =
                    Outputs { size: map.size, channels: outputs, columns, plane, values: output };
                for tile in 0..block.rows * along_z {
                    let place = [block.x, block.y + tile / along_z, tile % along_z];
                    output.add(simd, &products[tile * width..], stride * width, place);
                }
            }
        }
    }
}

/// Where the products of one plane of points go.
struct Outputs<'a> {
    size: [usize; 3],
    channels: usize,
    /// First channel of the panel, and how many it has.
    columns: [usize; 2],
    plane: usize,
    values: &'a mut [f32],
}

impl Outputs<'_> {
    /// Adds one tile's 4² points of this plane, `stride` apart, to its outputs: along each axis the first
    /// output is the sum of points 0, 1 and 2, the second that of 1, −2 and −3.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, products: &[f32], stride: usize, place: [usize; 3]) {
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
                let both = sums([a[z], b[z], c[z], d[z]]);
                for (y, sum) in both.into_iter().enumerate() {
                    self.add_row(simd, sum, place, [y, z], [first + column, count]);
                }
            }
        }
    }

    /// Adds to the outputs of both sections that this plane of points has a part in.
    #[inline(always)]
    fn add_row<S: Simd>(
        &mut self,
        simd: S,
        sum: S::f32s,
        place: [usize; 3],
        [y, z]: [usize; 2],
        channels: [usize; 2],
    ) {
        let [x_size, y_size, z_size] = self.size;
        let (y, z) = (2 * place[1] + y, 2 * place[2] + z);
        if y >= y_size || z >= z_size {
            return;
        }
        for x in 0..2 {
            let is_part = if x == 0 { self.plane < 3 } else { self.plane > 0 };
            if !is_part || 2 * place[0] + x >= x_size {
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
