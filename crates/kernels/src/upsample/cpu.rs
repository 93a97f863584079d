//! The transposed convolution on slices.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::CUBE;
use crate::{
    linear::cpu as linear,
    microkernel::{Beta, Dst, Lhs, Panels, Rhs, multiply_panel},
    scatter::Scatter,
    uninit::par_init_scatter,
};

/// Coarse voxels of a task: enough to reuse a panel of the weight, few enough for the L2 cache.
const ROWS: usize = 256;

/// Sizes of one call; `size` is that of the coarse map.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpsampleShape {
    pub(super) batch: usize,
    pub(super) size: [usize; 3],
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// Channels of the concatenation.
    pub(super) concat_channels: usize,
}

impl UpsampleShape {
    /// Coarse voxels of all samples.
    fn rows(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    /// Shape of a fine map.
    pub(super) fn fine(&self, channels: usize) -> [usize; 5] {
        let [x, y, z] = self.size;
        [self.batch, 2 * x, 2 * y, 2 * z, channels]
    }

    /// Index of the fine voxel at `corner` of the cube of coarse voxel `row`.
    #[inline(always)]
    fn fine_index(&self, row: usize, corner: usize) -> usize {
        let [_, y_size, z_size] = self.size;
        let (column, z) = (row / z_size, row % z_size);
        // Samples follow each other as planes along x do: x counts them too.
        let (x, y) = (column / y_size, column % y_size);
        let [x, y, z] = [2 * x + corner / 4, 2 * y + corner / 2 % 2, 2 * z + corner % 2];
        (x * 2 * y_size + y) * 2 * z_size + z
    }
}

/// `[batch, 2x, 2y, 2z, concat_channels]`: the channels of the transposed convolution, then those of the skip.
pub(super) fn forward(shape: UpsampleShape, input: &[f32], weight: &[f32], skip: &[f32]) -> Vec<f32> {
    let UpsampleShape { in_channels, out_channels, concat_channels, .. } = shape;
    let (arch, panels) = (Arch::new(), Panels::new(out_channels));
    let filter =
        linear::LinearShape { rows: shape.rows(), in_features: in_channels, out_features: out_channels };
    let filters: Vec<Vec<f32>> = (0..CUBE)
        .map(|corner| {
            linear::pack(filter, panels, |input, output| {
                weight[(input * CUBE + corner) * out_channels + output]
            })
        })
        .collect();
    let tasks = shape.rows().div_ceil(ROWS) * CUBE;
    let write = |output: &Scatter| {
        (0..tasks).into_par_iter().for_each_init(UpsampleScratch::default, |scratch, task| {
            let (block, corner) = (task / CUBE, task % CUBE);
            let (input, filter) = (&input[block * ROWS * in_channels..], &filters[corner]);
            let input = &input[..input.len().min(ROWS * in_channels)];
            let first = block * ROWS;
            arch.dispatch(CornerRows { shape, panels, input, filter, skip, first, corner, scratch, output });
        });
    };
    // SAFETY: every fine voxel is one corner of a coarse voxel, and its task writes all of its channels.
    unsafe { par_init_scatter(CUBE * shape.rows() * concat_channels, write).0 }
}

/// Buffers a thread reuses.
#[derive(Default)]
struct UpsampleScratch {
    input: Vec<f32>,
    sums: Vec<f32>,
}

/// One corner of the cubes of the coarse voxels from `first` on.
struct CornerRows<'a> {
    shape: UpsampleShape,
    panels: Panels,
    input: &'a [f32],
    filter: &'a [f32],
    skip: &'a [f32],
    first: usize,
    corner: usize,
    scratch: &'a mut UpsampleScratch,
    output: &'a Scatter<'a>,
}

impl WithSimd for CornerRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, panels, filter, skip, first, corner, output, .. } = self;
        let UpsampleShape { in_channels, out_channels, concat_channels, .. } = shape;
        let UpsampleScratch { input, sums } = self.scratch;
        let count = self.input.len() / in_channels;
        let rows = count.next_multiple_of(panels.tile_rows);
        input.clear();
        input.extend_from_slice(self.input);
        input.resize(rows * in_channels, 0.0);
        sums.resize(rows * panels.width, 0.0);
        for (panel, filter) in filter.chunks_exact(in_channels * panels.width).enumerate() {
            let lhs = Lhs { values: input, row_stride: in_channels, k_stride: 1 };
            let rhs = Rhs { values: filter, k_stride: panels.width };
            let dst = Dst { values: sums, row_stride: panels.width, rows, beta: Beta::Zero };
            multiply_panel(simd, panels, in_channels, lhs, rhs, dst);
            let (column, valid) = (panel * panels.width, panels.valid_columns(panel, out_channels));
            for (row, sums) in sums.chunks_exact(panels.width).take(count).enumerate() {
                let fine = shape.fine_index(first + row, corner);
                // SAFETY: a fine voxel is one corner of one coarse voxel and belongs to one task.
                unsafe { output.write(fine * concat_channels + column, &sums[..valid]) };
            }
        }
        let skip_channels = concat_channels - out_channels;
        for row in 0..count {
            let fine = shape.fine_index(first + row, corner);
            // SAFETY: as above.
            unsafe {
                output.write(
                    fine * concat_channels + out_channels,
                    &skip[fine * skip_channels..][..skip_channels],
                );
            };
        }
    }
}

/// Gradients of the inputs of [`forward`].
pub(super) struct UpsampleGradients {
    pub(super) input: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) skip: Vec<f32>,
}

/// Gradients; input and weight are those of a linear layer to the voxels of each cube.
pub(super) fn backward(
    shape: UpsampleShape,
    input: &[f32],
    weight: &[f32],
    gradient: &[f32],
) -> UpsampleGradients {
    let UpsampleShape { in_channels, out_channels, concat_channels, .. } = shape;
    let mut cubes = vec![0.0; shape.rows() * CUBE * out_channels];
    cubes.par_chunks_mut(CUBE * out_channels).enumerate().for_each(|(row, cube)| {
        for (corner, values) in cube.chunks_exact_mut(out_channels).enumerate() {
            values.copy_from_slice(
                &gradient[shape.fine_index(row, corner) * concat_channels..][..out_channels],
            );
        }
    });
    let mut skip = vec![0.0; shape.rows() * CUBE * (concat_channels - out_channels)];
    let voxels =
        skip.par_chunks_mut(concat_channels - out_channels).zip(gradient.par_chunks(concat_channels));
    voxels.for_each(|(skip, gradient)| skip.copy_from_slice(&gradient[out_channels..]));
    let shape = linear::LinearShape {
        rows: shape.rows(),
        in_features: in_channels,
        out_features: CUBE * out_channels,
    };
    let input_grad = linear::input_gradient(shape, &cubes, weight);
    let (weight, _) = linear::weight_gradient(shape, input, &cubes);
    UpsampleGradients { input: input_grad, weight, skip }
}
