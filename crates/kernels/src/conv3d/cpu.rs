//! Choice of the algorithm of a convolution.

use rayon::prelude::*;

use super::{direct, small, winograd};

/// With fewer input channels, the transforms cost more than the multiplications they save.
const MIN_WINOGRAD_CHANNELS: usize = 8;
/// With fewer voxels, the transform of the filter costs more than it saves.
const MIN_WINOGRAD_VOXELS: usize = 400;

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    pub(crate) batch: usize,
    pub(crate) size: [usize; 3],
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
}

impl ConvShape {
    /// Voxels of all samples.
    pub(super) fn voxels(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    /// Shape of the output.
    pub(super) fn output(&self) -> [usize; 5] {
        let [x, y, z] = self.size;
        [self.batch, x, y, z, self.out_channels]
    }

    fn algorithm(&self) -> Algorithm {
        if self.voxels() < MIN_WINOGRAD_VOXELS {
            Algorithm::Small
        } else if self.in_channels < MIN_WINOGRAD_CHANNELS {
            Algorithm::Direct
        } else {
            Algorithm::Winograd
        }
    }
}

#[derive(Clone, Copy)]
enum Algorithm {
    Direct,
    Small,
    Winograd,
}

/// `[batch, x, y, z, out_channels]` from `input` `[batch, x, y, z, in_channels]` and `weight`
/// `[3, 3, 3, in_channels, out_channels]`; stride 1, zero padding 1.
pub(crate) fn forward(shape: ConvShape, input: &[f32], weight: &[f32]) -> Vec<f32> {
    let forward = match shape.algorithm() {
        Algorithm::Direct => direct::forward,
        Algorithm::Small => small::forward,
        Algorithm::Winograd => winograd::forward,
    };
    forward(shape, input, weight)
}

/// Gradient of the weight, `[3, 3, 3, in_channels, out_channels]`, from the input and the gradient of the output.
pub(crate) fn weight_gradient(shape: ConvShape, input: &[f32], gradient: &[f32]) -> Vec<f32> {
    let weight_gradient = match shape.algorithm() {
        Algorithm::Direct => direct::weight_gradient,
        Algorithm::Small => small::weight_gradient,
        Algorithm::Winograd => winograd::weight_gradient,
    };
    weight_gradient(shape, input, gradient)
}

/// Gradient of the input: the convolution of the output's gradient with the flipped, transposed filter. `shape` is that
/// of this convolution: its `out_channels` are the channels of the input.
pub(crate) fn input_gradient(shape: ConvShape, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    forward(shape, gradient, &flip_and_transpose(weight, shape.out_channels, shape.in_channels))
}

/// `[27, columns, rows]` from `[27, rows, columns]`, taps in reverse order.
fn flip_and_transpose(weight: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    /// Columns transposed together: their cache lines serve the next rows too.
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
