//! Upsampling on slices.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::CUBE;
use crate::{
    fresh::by_places,
    linear::cpu as linear,
    product::{Into, Left, Panels, Right, Sums, multiply_panel},
    scatter::Scatter,
};

/// Coarse voxels one task works on: enough to use a panel of the weight often, few enough for the L2 cache.
const ROWS: usize = 256;

/// Sizes of one call; `size` is that of the coarse map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) size: [usize; 3],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Channels of the joined map.
    pub(super) joined: usize,
}

impl Shape {
    /// Coarse voxels of all samples.
    fn rows(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    /// Shape of a fine map.
    pub(super) fn fine(&self, channels: usize) -> [usize; 5] {
        let [x, y, z] = self.size;
        [self.batch, 2 * x, 2 * y, 2 * z, channels]
    }

    /// Which fine voxel a voxel of the cube of coarse voxel `row` is.
    #[inline(always)]
    fn place(&self, row: usize, corner: usize) -> usize {
        let [_, y_size, z_size] = self.size;
        let (section, z) = (row / z_size, row % z_size);
        // Samples follow each other as sections along x do.
        let (x, y) = (section / y_size, section % y_size);
        let [x, y, z] = [2 * x + corner / 4, 2 * y + corner / 2 % 2, 2 * z + corner % 2];
        (x * 2 * y_size + y) * 2 * z_size + z
    }
}

/// `[batch, 2x, 2y, 2z, joined]`: the cubes of every voxel of the map, then the channels of the skip.
pub(super) fn forward(shape: Shape, map: &[f32], weight: &[f32], skip: &[f32]) -> Vec<f32> {
    let Shape { inputs, outputs, joined, .. } = shape;
    let (arch, panels) = (Arch::new(), Panels::of(outputs));
    let filter = linear::Shape { rows: shape.rows(), inputs, outputs };
    let filters: Vec<Vec<f32>> = (0..CUBE)
        .map(|corner| {
            linear::pack(filter, panels, |input, output| weight[(input * CUBE + corner) * outputs + output])
        })
        .collect();
    let tasks = shape.rows().div_ceil(ROWS) * CUBE;
    let write = |places: &Scatter| {
        (0..tasks).into_par_iter().for_each_init(Room::default, |room, task| {
            let (block, corner) = (task / CUBE, task % CUBE);
            let (map, filter) = (&map[block * ROWS * inputs..], &filters[corner]);
            let map = &map[..map.len().min(ROWS * inputs)];
            let first = block * ROWS;
            arch.dispatch(Task { shape, panels, map, filter, skip, first, corner, room, places });
        });
    };
    // SAFETY: every fine voxel is a corner of a coarse one, and a task writes its outputs and what it skipped.
    unsafe { by_places(CUBE * shape.rows() * joined, write).0 }
}

/// What one thread uses again from task to task.
#[derive(Default)]
struct Room {
    map: Vec<f32>,
    sums: Vec<f32>,
}

/// One voxel of each cube that the coarse voxels from `first` on become.
struct Task<'a> {
    shape: Shape,
    panels: Panels,
    map: &'a [f32],
    filter: &'a [f32],
    skip: &'a [f32],
    first: usize,
    corner: usize,
    room: &'a mut Room,
    places: &'a Scatter<'a>,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, panels, filter, skip, first, corner, places, .. } = self;
        let Shape { inputs, outputs, joined, .. } = shape;
        let Room { map, sums } = self.room;
        let count = self.map.len() / inputs;
        let rows = count.next_multiple_of(panels.rows);
        map.clear();
        map.extend_from_slice(self.map);
        map.resize(rows * inputs, 0.0);
        sums.resize(rows * panels.width, 0.0);
        for (panel, filter) in filter.chunks_exact(inputs * panels.width).enumerate() {
            let left = Left { values: map, row: inputs, term: 1 };
            let right = Right { values: filter, term: panels.width };
            let into = Into { values: sums, row: panels.width, rows, sums: Sums::Fresh };
            multiply_panel(simd, panels, inputs, left, right, into);
            let (at, filled) = (panel * panels.width, panels.filled(panel, outputs));
            for (row, sums) in sums.chunks_exact(panels.width).take(count).enumerate() {
                let place = shape.place(first + row, corner);
                // SAFETY: a fine voxel is one corner of one coarse voxel, and so of one task.
                unsafe { places.write(place * joined + at, &sums[..filled]) };
            }
        }
        let skipped = joined - outputs;
        for row in 0..count {
            let place = shape.place(first + row, corner);
            // SAFETY: as above.
            unsafe { places.write(place * joined + outputs, &skip[place * skipped..][..skipped]) };
        }
    }
}

/// Gradients of what [`forward`] reads.
pub(super) struct Gradients {
    pub(super) map: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) skip: Vec<f32>,
}

/// The gradients, those of map and weight as of a linear layer to the voxels of each cube.
pub(super) fn backward(shape: Shape, map: &[f32], weight: &[f32], gradient: &[f32]) -> Gradients {
    let Shape { inputs, outputs, joined, .. } = shape;
    let mut cubes = vec![0.0; shape.rows() * CUBE * outputs];
    cubes.par_chunks_mut(CUBE * outputs).enumerate().for_each(|(row, cube)| {
        for (corner, values) in cube.chunks_exact_mut(outputs).enumerate() {
            values.copy_from_slice(&gradient[shape.place(row, corner) * joined..][..outputs]);
        }
    });
    let mut skip = vec![0.0; shape.rows() * CUBE * (joined - outputs)];
    let voxels = skip.par_chunks_mut(joined - outputs).zip(gradient.par_chunks(joined));
    voxels.for_each(|(skip, gradient)| skip.copy_from_slice(&gradient[outputs..]));
    let shape = linear::Shape { rows: shape.rows(), inputs, outputs: CUBE * outputs };
    let map_gradient = linear::input_gradient(shape, &cubes, weight);
    let (weight, _) = linear::weight_gradient(shape, map, &cubes);
    Gradients { map: map_gradient, weight, skip }
}
