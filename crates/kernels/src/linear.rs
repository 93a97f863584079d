//! A linear layer over the last axis, its bias added where the sums begin.

pub(crate) mod cpu;

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
    tensor::Tensor,
};

use crate::extension::{Contiguous, dims, on_cpu, tensor};

/// `input · weight + bias` over the last axis.
///
/// # Shapes
///
/// - `input`: `[.., inputs]`
/// - `weight`: `[inputs, outputs]`
/// - `bias`: `[outputs]`
/// - output: `[.., outputs]`
pub fn linear<const D: usize>(input: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut shape = input.dims();
    assert_eq!(shape[D - 1], inputs, "a linear layer reads the last axis");
    let rows = shape[..D - 1].iter().product();
    shape[D - 1] = outputs;
    let input = input.reshape([rows, inputs]);
    if !on_cpu(&input) {
        let output = input.matmul(weight);
        let output = match bias {
            Some(bias) => output + bias.unsqueeze(),
            None => output,
        };
        return output.reshape(shape);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &input.device()));
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::<2>::from_dispatch(Dispatch::linear_of(input.into_dispatch(), weight, bias)).reshape(shape)
}

/// A bias of no values stands for none.
#[backend_extension(Autodiff, Flex)]
trait LinearLayer: Backend {
    fn linear_of(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn linear_input_gradient(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of weight and bias.
    fn linear_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl LinearLayer for Flex {
    fn linear_of(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([rows, inputs], [_, outputs]) = (dims(&input), dims(&weight));
        let [input, weight, bias] = [input, weight, bias].map(Contiguous::of);
        let shape = cpu::Shape { rows, inputs, outputs };
        tensor(cpu::forward(shape, input.values(), weight.values(), bias.values()), [rows, outputs])
    }

    fn linear_input_gradient(gradient: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([rows, outputs], [inputs, _]) = (dims(&gradient), dims(&weight));
        let [gradient, weight] = [gradient, weight].map(Contiguous::of);
        let shape = cpu::Shape { rows, inputs, outputs };
        tensor(cpu::input_gradient(shape, gradient.values(), weight.values()), [rows, inputs])
    }

    fn linear_weight_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let ([rows, inputs], [_, outputs]) = (dims(&input), dims(&gradient));
        let [input, gradient] = [input, gradient].map(Contiguous::of);
        let shape = cpu::Shape { rows, inputs, outputs };
        let (weight, bias) = cpu::weight_gradient(shape, input.values(), gradient.values());
        (tensor(weight, [inputs, outputs]), tensor(bias, [outputs]))
    }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: LinearLayer> Backward<B, 3> for LinearBackward {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [input_node, weight_node, bias_node] = ops.parents;
        let [input, weight]: [FloatTensor<B>; 2] =
            ops.state.map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = input_node {
            grads.register::<B>(node.id, B::linear_input_gradient(gradient.clone(), weight));
        }
        if weight_node.is_some() || bias_node.is_some() {
            let (weight, bias) = B::linear_weight_gradient(input, gradient);
            for (node, gradient) in [(weight_node, weight), (bias_node, bias)] {
                if let Some(node) = node {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }
    }
}

impl<B: LinearLayer, C: CheckpointStrategy> LinearLayer for Autodiff<B, C> {
    fn linear_of(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let parents = [input.node(), weight.node(), bias.node()];
        match LinearBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&input), prep.checkpoint(&weight)];
                let [input, weight, bias] = [input, weight, bias].map(FloatTensor::<Self>::into_primitive);
                prep.finish(state, B::linear_of(input, weight, bias))
            }
            OpsKind::UnTracked(prep) => {
                let [input, weight, bias] = [input, weight, bias].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::linear_of(input, weight, bias))
            }
        }
    }

    fn linear_input_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }

    fn linear_weight_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }
}
