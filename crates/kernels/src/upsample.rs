//! The 2³ transposed convolution of stride 2, written straight into its half of the concatenation with a skip.

mod cpu;

use burn::tensor::Tensor;

use crate::{
    flex::{Contiguous, dims, on_cpu, tensor},
    op::{CpuTensor, Op, Saved, apply},
};

/// Output voxels of one input voxel.
const CUBE: usize = 8;

/// Transposed convolution with kernel 2³ and stride 2, concatenated with the channels of `skip`.
///
/// # Shapes
///
/// - `input`: `[batch, x, y, z, in_channels]`
/// - `weight`: `[in_channels, 2 · 2 · 2 · out_channels]`
/// - `skip`: `[batch, 2x, 2y, 2z, skip_channels]`
/// - output: `[batch, 2x, 2y, 2z, out_channels + skip_channels]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn conv_transpose3d_concat(input: Tensor<5>, weight: Tensor<2>, skip: Tensor<5>) -> Tensor<5> {
    let [batch, x, y, z, in_channels] = input.dims();
    let [rows, columns] = weight.dims();
    assert!(
        rows == in_channels && columns.is_multiple_of(CUBE),
        "the shape of a weight is [in_channels, 8 · out_channels]"
    );
    assert_eq!(skip.dims()[..4], [batch, 2 * x, 2 * y, 2 * z], "a skip has twice the resolution");
    if on_cpu(&input) {
        apply(ConvTransposeConcatOp, [input.into_dispatch(), weight.into_dispatch(), skip.into_dispatch()])
    } else {
        fallback(input, weight, skip)
    }
}

fn fallback(input: Tensor<5>, weight: Tensor<2>, skip: Tensor<5>) -> Tensor<5> {
    let [batch, x, y, z, in_channels] = input.dims();
    let out_channels = weight.dims()[1] / CUBE;
    let cubes = input.reshape([batch * x * y * z, in_channels]).matmul(weight);
    // [batch·x·y·z, 8·out_channels] -> [batch, 2x, 2y, 2z, out_channels]
    let fine = cubes
        .reshape([batch, x, y, z, 2, 2, 2, out_channels])
        .permute([0, 1, 4, 2, 5, 3, 6, 7])
        .reshape([batch, 2 * x, 2 * y, 2 * z, out_channels]);
    Tensor::cat(vec![fine, skip], 4)
}

/// Inputs: coarse map, weight and skip.
#[derive(Clone, Debug)]
struct ConvTransposeConcatOp;

impl Op<3> for ConvTransposeConcatOp {
    const SAVED_INPUTS: [bool; 3] = [true, true, false];

    fn forward(&self, [input, weight, skip]: [CpuTensor; 3]) -> CpuTensor {
        let ([.., skip_channels], [_, columns]) = (dims::<5>(&skip), dims::<2>(&weight));
        let shape = shape(&input, &weight, columns / CUBE + skip_channels);
        let [input, weight, skip] = [input, weight, skip].map(Contiguous::new);
        let values = cpu::forward(shape, input.values(), weight.values(), skip.values());
        tensor(values, shape.fine(shape.concat_channels))
    }

    fn backward(&self, mut saved: Saved<3>, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let [input, weight] = [saved.input(0), saved.input(1)];
        let [.., concat_channels] = dims::<5>(&grad);
        let shape = shape(&input, &weight, concat_channels);
        let (input_dims, weight_dims) = (dims::<5>(&input), dims::<2>(&weight));
        let [input, weight, grad] = [input, weight, grad].map(Contiguous::new);
        let gradients = cpu::backward(shape, input.values(), weight.values(), grad.values());
        [
            Some(tensor(gradients.input, input_dims)),
            Some(tensor(gradients.weight, weight_dims)),
            Some(tensor(gradients.skip, shape.fine(concat_channels - shape.out_channels))),
        ]
    }
}

fn shape(input: &CpuTensor, weight: &CpuTensor, concat_channels: usize) -> cpu::UpsampleShape {
    let ([batch, x, y, z, in_channels], [_, columns]) = (dims(input), dims(weight));
    cpu::UpsampleShape { batch, size: [x, y, z], in_channels, out_channels: columns / CUBE, concat_channels }
}
