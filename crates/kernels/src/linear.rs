//! A linear layer over the last axis.

pub(crate) mod cpu;

use burn::tensor::Tensor;

use crate::{
    flex::{Contiguous, dims, on_cpu, tensor},
    op::{CpuTensor, Op, Saved, apply},
};

/// `input · weight + bias` over the last axis.
///
/// # Shapes
///
/// - `input`: `[.., in_features]`
/// - `weight`: `[in_features, out_features]`
/// - `bias`: `[out_features]`
/// - output: `[.., out_features]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn linear<const D: usize>(input: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [in_features, out_features] = weight.dims();
    let mut shape = input.dims();
    assert_eq!(shape[D - 1], in_features, "a linear layer of {in_features} features gets {}", shape[D - 1]);
    let rows = shape[..D - 1].iter().product();
    shape[D - 1] = out_features;
    let input = input.reshape([rows, in_features]);
    let output: Tensor<2> = if on_cpu(&input) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &input.device()));
        apply(LinearOp, [input.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()])
    } else {
        fallback(input, weight, bias)
    };
    output.reshape(shape)
}

fn fallback(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let output = input.matmul(weight);
    match bias {
        Some(bias) => output + bias.unsqueeze(),
        None => output,
    }
}

/// Inputs: rows of features, weight and bias; an empty bias stands for none.
#[derive(Clone, Debug)]
struct LinearOp;

impl Op<3> for LinearOp {
    const SAVED_INPUTS: [bool; 3] = [true, true, false];

    fn forward(&self, [input, weight, bias]: [CpuTensor; 3]) -> CpuTensor {
        let ([rows, in_features], [_, out_features]) = (dims(&input), dims(&weight));
        let [input, weight, bias] = [input, weight, bias].map(Contiguous::new);
        let shape = cpu::LinearShape { rows, in_features, out_features };
        tensor(cpu::forward(shape, input.values(), weight.values(), bias.values()), [rows, out_features])
    }

    fn backward(
        &self,
        mut saved: Saved<3>,
        grad: CpuTensor,
        needs_grad: [bool; 3],
    ) -> [Option<CpuTensor>; 3] {
        let [input, weight] = [saved.input(0), saved.input(1)];
        let input_grad = needs_grad[0].then(|| input_gradient(grad.clone(), weight));
        let [weight_grad, bias_grad] = if needs_grad[1] || needs_grad[2] {
            weight_gradient(input, grad).map(Some)
        } else {
            [None, None]
        };
        [input_grad, weight_grad, bias_grad]
    }
}

fn input_gradient(grad: CpuTensor, weight: CpuTensor) -> CpuTensor {
    let ([rows, out_features], [in_features, _]) = (dims(&grad), dims(&weight));
    let [grad, weight] = [grad, weight].map(Contiguous::new);
    let shape = cpu::LinearShape { rows, in_features, out_features };
    tensor(cpu::input_gradient(shape, grad.values(), weight.values()), [rows, in_features])
}

/// Gradients of weight and bias.
fn weight_gradient(input: CpuTensor, grad: CpuTensor) -> [CpuTensor; 2] {
    let ([rows, in_features], [_, out_features]) = (dims(&input), dims(&grad));
    let [input, grad] = [input, grad].map(Contiguous::new);
    let shape = cpu::LinearShape { rows, in_features, out_features };
    let (weight, bias) = cpu::weight_gradient(shape, input.values(), grad.values());
    [tensor(weight, [in_features, out_features]), tensor(bias, [out_features])]
}
