//! GELU in its exact form.

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
    tensor::{Tensor, activation},
};

use crate::{
    extension::{Contiguous, on_cpu, overwrite, tensor_like},
    fresh::{Cut, by_blocks},
    vector,
};

/// Values one task works on: they fit the L2 cache.
const CHUNK: usize = 1 << 15;

/// `x · Φ(x)` with the normal distribution function Φ, the exact form.
///
/// # Shapes
///
/// - `input` and output: any
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    if on_cpu(&input) {
        Tensor::from_dispatch(Dispatch::gelu_of(input.into_dispatch()))
    } else {
        activation::gelu(input)
    }
}

#[backend_extension(Autodiff, Flex)]
trait Gelu: Backend {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self>;
    fn gelu_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Gelu for Flex {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self> {
        overwrite(input, CHUNK, |_, values| vector::gelu(values))
    }

    fn gelu_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let (input, gradient) = (Contiguous::of(input), Contiguous::of(gradient));
        let values = by_blocks(Cut::blocks(input.values().len(), CHUNK), |(): &mut (), at, out| {
            vector::gelu_gradient(&input.values()[at..], &gradient.values()[at..], out);
        });
        tensor_like(values, &input)
    }
}

#[derive(Debug)]
struct GeluBackward;

impl<B: Gelu> Backward<B, 1> for GeluBackward {
    type State = NodeId;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [node] = ops.parents;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(ops.state);
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::gelu_gradient(input, gradient));
        }
    }
}

impl<B: Gelu, C: CheckpointStrategy> Gelu for Autodiff<B, C> {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self> {
        match GeluBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&input);
                prep.finish(state, B::gelu_of(input.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_of(input.into_primitive())),
        }
    }

    fn gelu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }
}
