//! The 3³ convolution, stride 1, zero padding 1: nine tenths of the network's arithmetic.

mod cpu;
mod direct;
mod small;
mod winograd;

use burn::tensor::{Tensor, module, ops::ConvOptions};

use crate::{
    flex::{Contiguous, dims, on_cpu, tensor},
    op::{CpuTensor, Op, Saved, apply},
};

/// Convolves a feature map with 3³ filters, stride 1, zero padding 1, no bias.
///
/// # Shapes
///
/// - `input`: `[batch, x, y, z, in_channels]`
/// - `weight`: `[3, 3, 3, in_channels, out_channels]`
/// - output: `[batch, x, y, z, out_channels]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn conv3d(input: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [kx, ky, kz, in_channels, _] = weight.dims();
    assert_eq!(
        [kx, ky, kz, in_channels],
        [3, 3, 3, input.dims()[4]],
        "the shape of a filter is [3, 3, 3, in_channels, out_channels]"
    );
    if on_cpu(&input) {
        apply(Conv3dOp, [input.into_dispatch(), weight.into_dispatch()])
    } else {
        fallback(input, weight)
    }
}

fn fallback(input: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    let input = input.permute([0, 4, 1, 2, 3]);
    module::conv3d(input, weight.permute([4, 3, 0, 1, 2]), None, options).permute([0, 2, 3, 4, 1])
}

/// Inputs: feature map and filter.
#[derive(Clone, Debug)]
struct Conv3dOp;

impl Op<2> for Conv3dOp {
    const SAVED_INPUTS: [bool; 2] = [true, true];

    fn forward(&self, [input, weight]: [CpuTensor; 2]) -> CpuTensor {
        let [.., out_channels] = dims::<5>(&weight);
        let shape = shape(&input, out_channels);
        let [input, weight] = [input, weight].map(Contiguous::new);
        tensor(cpu::forward(shape, input.values(), weight.values()), shape.output())
    }

    fn backward(
        &self,
        mut saved: Saved<2>,
        grad: CpuTensor,
        needs_grad: [bool; 2],
    ) -> [Option<CpuTensor>; 2] {
        let [input, weight] = [saved.input(0), saved.input(1)];
        [
            needs_grad[0].then(|| input_gradient(grad.clone(), weight)),
            needs_grad[1].then(|| weight_gradient(input, grad)),
        ]
    }
}

fn shape(input: &CpuTensor, out_channels: usize) -> cpu::ConvShape {
    let [batch, x, y, z, in_channels] = dims(input);
    cpu::ConvShape { batch, size: [x, y, z], in_channels, out_channels }
}

fn input_gradient(grad: CpuTensor, weight: CpuTensor) -> CpuTensor {
    let [.., in_channels, _] = dims::<5>(&weight);
    let shape = shape(&grad, in_channels);
    let [grad, weight] = [grad, weight].map(Contiguous::new);
    tensor(cpu::input_gradient(shape, grad.values(), weight.values()), shape.output())
}

fn weight_gradient(input: CpuTensor, grad: CpuTensor) -> CpuTensor {
    let [.., out_channels] = dims::<5>(&grad);
    let shape = shape(&input, out_channels);
    let [input, grad] = [input, grad].map(Contiguous::new);
    let values = cpu::weight_gradient(shape, input.values(), grad.values());
    tensor(values, [3, 3, 3, shape.in_channels, out_channels])
}
