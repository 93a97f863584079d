//! The 3³ convolution, stride 1, zero padding 1: nine tenths of the network's arithmetic.

mod cpu;
mod direct;
mod small;
mod winograd;

use burn::{
    backend::{
        Backend, Dispatch, Flex,
        autodiff::{
            Autodiff, NodeId,
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, module, ops::ConvOptions},
};

use crate::extension::{Contiguous, dims, on_cpu, tensor};

/// Convolves a feature map with 3³ filters, stride 1, zero padding 1, no bias.
///
/// # Shapes
///
/// - `input`: `[batch, x, y, z, inputs]`
/// - `weight`: `[3, 3, 3, inputs, outputs]`
/// - output: `[batch, x, y, z, outputs]`
///
/// # Panics
///
/// When the shapes do not fit each other.
pub fn conv3d(input: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let [kx, ky, kz, inputs, _] = weight.dims();
    assert_eq!([kx, ky, kz, inputs], [3, 3, 3, input.dims()[4]], "a filter is [3, 3, 3, inputs, outputs]");
    if on_cpu(&input) {
        let output = Dispatch::convolve(input.into_dispatch(), weight.into_dispatch());
        Tensor::from_dispatch(output)
    } else {
        by_burn(input, weight)
    }
}

fn by_burn(input: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    let input = input.permute([0, 4, 1, 2, 3]);
    module::conv3d(input, weight.permute([4, 3, 0, 1, 2]), None, options).permute([0, 2, 3, 4, 1])
}

#[backend_extension(Autodiff, Flex)]
trait Convolution: Backend {
    fn convolve(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn convolve_input_gradient(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn convolve_weight_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn shape(input: &FloatTensor<Flex>, outputs: usize) -> cpu::Shape {
    let [batch, x, y, z, inputs] = dims(input);
    cpu::Shape { batch, size: [x, y, z], inputs, outputs }
}

impl Convolution for Flex {
    fn convolve(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let [.., outputs] = dims::<5>(&weight);
        let shape = shape(&input, outputs);
        let (input, weight) = (Contiguous::of(input), Contiguous::of(weight));
        let [x, y, z] = shape.size;
        tensor(cpu::forward(shape, input.values(), weight.values()), [shape.batch, x, y, z, outputs])
    }

    fn convolve_input_gradient(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let [.., inputs, _] = dims::<5>(&weight);
        let shape = shape(&gradient, inputs);
        let (gradient, weight) = (Contiguous::of(gradient), Contiguous::of(weight));
        let [x, y, z] = shape.size;
        tensor(cpu::input_gradient(shape, gradient.values(), weight.values()), [shape.batch, x, y, z, inputs])
    }

    fn convolve_weight_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let [.., outputs] = dims::<5>(&gradient);
        let shape = shape(&input, outputs);
        let (input, gradient) = (Contiguous::of(input), Contiguous::of(gradient));
        let values = cpu::weight_gradient(shape, input.values(), gradient.values());
        tensor(values, [3, 3, 3, shape.inputs, outputs])
    }
}

#[derive(Debug)]
struct ConvolutionBackward;

impl<B: Convolution> Backward<B, 2> for ConvolutionBackward {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [input_node, weight_node] = ops.parents;
        let [input, weight] = ops.state;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(input);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = input_node {
            grads.register::<B>(node.id, B::convolve_input_gradient(gradient.clone(), weight));
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, B::convolve_weight_gradient(input, gradient));
        }
    }
}

impl<B: Convolution, C: CheckpointStrategy> Convolution for Autodiff<B, C> {
    fn convolve(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        match ConvolutionBackward.prepare::<C>([input.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&input), prep.checkpoint(&weight)];
                prep.finish(state, B::convolve(input.into_primitive(), weight.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::convolve(input.into_primitive(), weight.into_primitive()))
            }
        }
    }

    fn convolve_input_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }

    fn convolve_weight_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }
}
