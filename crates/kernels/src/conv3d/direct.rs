//! The 3³ convolution by its definition, without `im2col`: for few input channels.
//!
//! The volume is copied once with a border of zeros. Then the three taps along z are `3 · inputs`
//! contiguous values, and the window of the next position begins `inputs` values later: each of the
//! nine (x, y) taps is one matrix product whose left rows overlap in memory.

use rayon::prelude::*;

use super::cpu::Shape;
use crate::{
    fresh::{Cut, by_blocks},
    matrix::{Into, Matrix, multiply},
};

/// Positions one product covers: enough to fill it, few enough for its result to stay in the L2 cache.
const POSITIONS: usize = 512;
/// Parts the weight gradient is summed in: fixed, so that the result does not depend on threads.
const GRADIENT_PARTS: usize = 8;

/// Consecutive rows (along z) of one section of a padded volume.
#[derive(Clone, Copy)]
struct Block {
    section: usize,
    row: usize,
    rows: usize,
}

impl Shape {
    fn section(&self) -> usize {
        self.size[1] * self.size[2]
    }

    fn padded_row(&self) -> usize {
        self.size[2] + 2
    }

    fn padded_section(&self) -> usize {
        (self.size[1] + 2) * self.padded_row()
    }

    /// The input with a border of zeros.
    fn padded(&self, input: &[f32]) -> Vec<f32> {
        let ([x_size, y_size, z_size], c) = (self.size, self.inputs);
        let section = self.padded_section() * c;
        let mut out = vec![0.0; self.batch * (x_size + 2) * section];
        out.par_chunks_mut(section).enumerate().for_each(|(index, out)| {
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

    /// The blocks of rows of one section.
    fn blocks(&self, section: usize) -> impl Iterator<Item = Block> + use<> {
        let y_size = self.size[1];
        let step = (POSITIONS / self.padded_row()).max(1);
        (0..y_size).step_by(step).map(move |row| Block { section, row, rows: step.min(y_size - row) })
    }

    /// Positions from the first to the last voxel of a block, border included.
    fn reach(&self, block: Block) -> usize {
        (block.rows - 1) * self.padded_row() + self.size[2]
    }

    /// Where the window of the first position of a block begins, in padded positions.
    fn window(&self, block: Block) -> usize {
        let (sample, x) = (block.section / self.size[0], block.section % self.size[0]);
        (sample * (self.size[0] + 2) + x) * self.padded_section() + block.row * self.padded_row()
    }

    /// The input windows of a block for tap `[x, y]`: `[positions, 3 · inputs]`.
    fn windows<'a>(&self, padded: &'a [f32], block: Block, tap: usize) -> Matrix<'a> {
        let at = self.window(block) + tap / 3 * self.padded_section() + tap % 3 * self.padded_row();
        let (positions, c) = (self.reach(block), self.inputs);
        Matrix::rows(&padded[at * c..], positions, 3 * c, c)
    }

    /// Calls `f(voxel row of the block, its first position in the block)` for each row along z.
    fn for_each_row(&self, block: Block, mut f: impl FnMut(usize, usize)) {
        for row in 0..block.rows {
            f(row * self.size[2], row * self.padded_row());
        }
    }
}

/// `[batch, x, y, z, outputs]` from `input` `[batch, x, y, z, inputs]` and `weight`
/// `[3, 3, 3, inputs, outputs]`; stride 1, zero padding 1.
pub(crate) fn forward(shape: Shape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let padded = shape.padded(input);
    let section_values = shape.section() * shape.outputs;
    let cut = Cut::blocks(shape.batch * shape.size[0] * section_values, section_values);
    by_blocks(cut, |scratch: &mut Vec<f32>, at, out| {
        for block in shape.blocks(at / section_values) {
            let out = &mut out[block.row * shape.size[2] * shape.outputs..];
            forward_block(shape, &padded, weight, block, scratch, out);
        }
    })
}

fn forward_block(
    shape: Shape,
    padded: &[f32],
    weight: &[f32],
    block: Block,
    scratch: &mut Vec<f32>,
    out: &mut [f32],
) {
    let co = shape.outputs;
    let filter_size = 3 * shape.inputs * co;
    scratch.resize(shape.reach(block) * co, 0.0);
    for tap in 0..9 {
        let mode = if tap == 0 { Into::Replace } else { Into::Add };
        let filter = Matrix::rows(&weight[tap * filter_size..], 3 * shape.inputs, co, co);
        multiply(scratch, co, mode, 1.0, shape.windows(padded, block, tap), filter);
    }
    let row = shape.size[2] * co;
    shape.for_each_row(block, |voxel, position| {
        out[voxel * co..voxel * co + row].copy_from_slice(&scratch[position * co..position * co + row]);
    });
}

/// The gradient of the weight, `[3, 3, 3, inputs, outputs]`, from the input and the output's gradient.
pub(crate) fn weight_gradient(shape: Shape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let padded = shape.padded(input);
    let weight_size = 27 * shape.inputs * shape.outputs;
    let sections = shape.batch * shape.size[0];
    let part = sections.div_ceil(GRADIENT_PARTS);
    let parts: Vec<Vec<f32>> = (0..sections.div_ceil(part))
        .into_par_iter()
        .map(|index| {
            let mut sum = vec![0.0; weight_size];
            let mut scratch = Vec::new();
            for section in index * part..((index + 1) * part).min(sections) {
                for block in shape.blocks(section) {
                    let voxel = section * shape.section() + block.row * shape.size[2];
                    let gradient = &gradient[voxel * shape.outputs..];
                    add_weight_gradient(shape, &padded, gradient, block, &mut scratch, &mut sum);
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

fn add_weight_gradient(
    shape: Shape,
    padded: &[f32],
    gradient: &[f32],
    block: Block,
    scratch: &mut Vec<f32>,
    sum: &mut [f32],
) {
    let co = shape.outputs;
    let (row, filter_size) = (shape.size[2] * co, 3 * shape.inputs * co);
    // Positions on the border must not contribute: their gradient is zero.
    scratch.clear();
    scratch.resize(shape.reach(block) * co, 0.0);
    shape.for_each_row(block, |voxel, position| {
        scratch[position * co..position * co + row].copy_from_slice(&gradient[voxel * co..voxel * co + row]);
    });
    let gradient = Matrix::rows(scratch, shape.reach(block), co, co);
    for tap in 0..9 {
        let windows = shape.windows(padded, block, tap).transposed();
        let sum = &mut sum[tap * filter_size..(tap + 1) * filter_size];
        multiply(sum, co, Into::Add, 1.0, windows, gradient);
    }
}
