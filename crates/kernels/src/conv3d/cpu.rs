//! Which of the three ways a convolution takes.

use rayon::prelude::*;

use super::{direct, small, winograd};

/// With fewer input channels than this, transforming costs more than the multiplications it saves.
const FEWEST_CHANNELS: usize = 8;
/// With fewer positions than this, the filter's transform costs more than it saves.
const FEWEST_POSITIONS: usize = 400;

/// Shape of a convolution: `[batch, x, y, z]` and channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: usize,
    pub(crate) size: [usize; 3],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Shape {
    /// Voxels of all samples.
    pub(super) fn positions(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    fn way(&self) -> Way {
        if self.positions() < FEWEST_POSITIONS {
            Way::Small
        } else if self.inputs < FEWEST_CHANNELS {
            Way::Direct
        } else {
            Way::Winograd
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Direct,
    Small,
    Winograd,
}

/// `[batch, x, y, z, outputs]` from `input` `[batch, x, y, z, inputs]` and `weight`
/// `[3, 3, 3, inputs, outputs]`; stride 1, zero padding 1.
pub(crate) fn forward(shape: Shape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let forward = match shape.way() {
        Way::Direct => direct::forward,
        Way::Small => small::forward,
        Way::Winograd => winograd::forward,
    };
    forward(shape, input, weight)
}

/// The gradient of the weight, `[3, 3, 3, inputs, outputs]`, from the input and the output's gradient.
pub(crate) fn weight_gradient(shape: Shape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let weight_gradient = match shape.way() {
        Way::Direct => direct::weight_gradient,
        Way::Small => small::weight_gradient,
        Way::Winograd => winograd::weight_gradient,
    };
    weight_gradient(shape, input, gradient)
}

/// The gradient of the input: a convolution of the output's gradient with the mirrored, transposed filter.
/// `shape` is that of this convolution, so its outputs are the input's channels.
pub(crate) fn input_gradient(shape: Shape, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    forward(shape, gradient, &mirrored(weight, shape.outputs, shape.inputs))
}

/// `[27, columns, rows]` from `[27, rows, columns]` with the taps in reverse order.
fn mirrored(weight: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    /// Columns turned together: their cache lines are still there for the next rows.
    const COLUMNS: usize = 16;
    let mut out = vec![0.0; weight.len()];
    let taps = out.par_chunks_mut(rows * columns).zip(weight.par_chunks(rows * columns).rev());
    taps.for_each(|(out, tap)| {
        for (group, out) in out.chunks_mut(COLUMNS * rows).enumerate() {
            for (row, tap) in tap.chunks_exact(columns).enumerate() {
                for (column, value) in tap.iter().skip(group * COLUMNS).take(COLUMNS).enumerate() {
                    out[column * rows + row] = *value;
                }
            }
        }
    });
    out
}
