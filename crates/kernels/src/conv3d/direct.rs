//! Direct 3³ convolution without `im2col`, for few input channels.
//!
//! The volume is copied once with a border of zeros. The three taps along z are then `3 · in_channels` contiguous
//! values, and those of the next position begin `in_channels` values later: each of the nine (x, y) taps is one
//! matrix product whose left rows overlap in memory.

use rayon::prelude::*;

use super::cpu::ConvShape;
use crate::{
    matrix::{Matrix, Output, multiply},
    uninit::{Chunking, par_init_chunks},
};

/// Positions of a product: enough to fill it, few enough for its result to stay in the L2 cache.
const POSITIONS: usize = 512;
/// Partial sums of the weight gradient: a constant, for results that do not depend on the number of threads.
const GRADIENT_PARTS: usize = 8;

/// Consecutive rows (along z) of one yz-plane of a padded volume.
#[derive(Clone, Copy)]
struct RowBlock {
    plane: usize,
    row: usize,
    rows: usize,
}

impl ConvShape {
    fn plane_voxels(&self) -> usize {
        self.size[1] * self.size[2]
    }

    fn padded_row(&self) -> usize {
        self.size[2] + 2
    }

    fn padded_plane(&self) -> usize {
        (self.size[1] + 2) * self.padded_row()
    }

    /// The input with a border of zeros.
    fn pad(&self, input: &[f32]) -> Vec<f32> {
        let ([x_size, y_size, z_size], c) = (self.size, self.in_channels);
        let plane = self.padded_plane() * c;
        let mut out = vec![0.0; self.batch * (x_size + 2) * plane];
        out.par_chunks_mut(plane).enumerate().for_each(|(index, out)| {
            let (sample, x) = (index / (x_size + 2), index % (x_size + 2));
            if x == 0 || x > x_size {
                return;
            }
            let input = &input[(sample * x_size + x - 1) * y_size * z_size * c..];
            for y in 0..y_size {
                let at = ((y + 1) * self.padded_row() + 1) * c;
                out[at..at + z_size * c].copy_from_slice(&input[y * z_size * c..][..z_size * c]);
            }
        });
        out
    }

    /// Row blocks of one plane.
    fn blocks(&self, plane: usize) -> impl Iterator<Item = RowBlock> + use<> {
        let y_size = self.size[1];
        let step = (POSITIONS / self.padded_row()).max(1);
        (0..y_size).step_by(step).map(move |row| RowBlock { plane, row, rows: step.min(y_size - row) })
    }

    /// Positions from the first to the last voxel of a block, border included.
    fn span(&self, block: RowBlock) -> usize {
        (block.rows - 1) * self.padded_row() + self.size[2]
    }

    /// Padded position where the receptive field of the first voxel of a block begins.
    fn field_start(&self, block: RowBlock) -> usize {
        let (sample, x) = (block.plane / self.size[0], block.plane % self.size[0]);
        (sample * (self.size[0] + 2) + x) * self.padded_plane() + block.row * self.padded_row()
    }

    /// Inputs of a block for one of the nine (x, y) taps: `[positions, 3 · in_channels]`.
    fn tap_inputs<'a>(&self, padded: &'a [f32], block: RowBlock, tap: usize) -> Matrix<'a> {
        let at = self.field_start(block) + tap / 3 * self.padded_plane() + tap % 3 * self.padded_row();
        let (positions, c) = (self.span(block), self.in_channels);
        Matrix::from_rows(&padded[at * c..], positions, 3 * c, c)
    }

    /// Calls `f(first voxel of the row, its position)` for each row along z, both counted from the start of the block.
    fn for_each_row(&self, block: RowBlock, mut f: impl FnMut(usize, usize)) {
        for row in 0..block.rows {
            f(row * self.size[2], row * self.padded_row());
        }
    }
}

/// `[batch, x, y, z, out_channels]` from `input` `[batch, x, y, z, in_channels]` and `weight`
/// `[3, 3, 3, in_channels, out_channels]`; stride 1, zero padding 1.
pub(crate) fn forward(shape: ConvShape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let padded = shape.pad(input);
    let plane_values = shape.plane_voxels() * shape.out_channels;
    let chunking = Chunking::blocks(shape.batch * shape.size[0] * plane_values, plane_values);
    par_init_chunks(chunking, |scratch: &mut Vec<f32>, offset, out| {
        for block in shape.blocks(offset / plane_values) {
            let out = &mut out[block.row * shape.size[2] * shape.out_channels..];
            forward_block(shape, &padded, weight, block, scratch, out);
        }
    })
}

fn forward_block(
    shape: ConvShape,
    padded: &[f32],
    weight: &[f32],
    block: RowBlock,
    scratch: &mut Vec<f32>,
    out: &mut [f32],
) {
    let co = shape.out_channels;
    let filter_size = 3 * shape.in_channels * co;
    scratch.resize(shape.span(block) * co, 0.0);
    for tap in 0..9 {
        let output = if tap == 0 { Output::Overwrite } else { Output::Accumulate };
        let filter = Matrix::from_rows(&weight[tap * filter_size..], 3 * shape.in_channels, co, co);
        multiply(scratch, co, output, 1.0, shape.tap_inputs(padded, block, tap), filter);
    }
    let row = shape.size[2] * co;
    shape.for_each_row(block, |voxel, position| {
        out[voxel * co..voxel * co + row].copy_from_slice(&scratch[position * co..position * co + row]);
    });
}

/// Gradient of the weight, `[3, 3, 3, in_channels, out_channels]`.
pub(crate) fn weight_gradient(shape: ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let padded = shape.pad(input);
    let weight_size = 27 * shape.in_channels * shape.out_channels;
    let planes = shape.batch * shape.size[0];
    let part_planes = planes.div_ceil(GRADIENT_PARTS);
    let parts: Vec<Vec<f32>> = (0..planes.div_ceil(part_planes))
        .into_par_iter()
        .map(|index| {
            let mut sum = vec![0.0; weight_size];
            let mut scratch = Vec::new();
            for plane in index * part_planes..((index + 1) * part_planes).min(planes) {
                for block in shape.blocks(plane) {
                    let voxel = plane * shape.plane_voxels() + block.row * shape.size[2];
                    let gradient = &gradient[voxel * shape.out_channels..];
                    accumulate_weight_gradient(shape, &padded, gradient, block, &mut scratch, &mut sum);
                }
            }
            sum
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut sum = parts.next().unwrap_or_else(|| vec![0.0; weight_size]);
    for part in parts {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += value;
        }
    }
    sum
}

fn accumulate_weight_gradient(
    shape: ConvShape,
    padded: &[f32],
    gradient: &[f32],
    block: RowBlock,
    scratch: &mut Vec<f32>,
    sum: &mut [f32],
) {
    let co = shape.out_channels;
    let (row, filter_size) = (shape.size[2] * co, 3 * shape.in_channels * co);
    // Positions on the border have no gradient.
    scratch.clear();
    scratch.resize(shape.span(block) * co, 0.0);
    shape.for_each_row(block, |voxel, position| {
        scratch[position * co..position * co + row].copy_from_slice(&gradient[voxel * co..voxel * co + row]);
    });
    let gradient = Matrix::from_rows(scratch, shape.span(block), co, co);
    for tap in 0..9 {
        let inputs = shape.tap_inputs(padded, block, tap).transpose();
        let sum = &mut sum[tap * filter_size..(tap + 1) * filter_size];
        multiply(sum, co, Output::Accumulate, 1.0, inputs, gradient);
    }
}
