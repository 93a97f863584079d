//! Activations: GELU in its exact form, and leaky ReLU of a sum.

use std::marker::PhantomData;

use burn::{
    backend::{
        Backend, Dispatch, Flex,
        autodiff::{
            Autodiff, NodeId,
            checkpoint::{
                base::Checkpointer, retro_forward::RetroForward, state::BackwardStates,
                strategy::CheckpointStrategy,
            },
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, activation},
};
use rayon::prelude::*;

use crate::{
    extension::{Contiguous, on_cpu, overwrite, tensor_like},
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

/// `leaky(a + b)`, where leaky multiplies negative values by `slope`.
///
/// # Shapes
///
/// - `a`, `b` and output: the same, any
pub fn add_leaky_relu<const D: usize>(a: Tensor<D>, b: Tensor<D>, slope: f32) -> Tensor<D> {
    assert_eq!(a.dims(), b.dims(), "both summands have the same shape");
    if on_cpu(&a) {
        Tensor::from_dispatch(Dispatch::add_leaky(a.into_dispatch(), b.into_dispatch(), slope))
    } else {
        activation::leaky_relu(a + b, f64::from(slope))
    }
}

#[backend_extension(Autodiff, Flex)]
trait Activation: Backend {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self>;
    fn gelu_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
    fn add_leaky(a: FloatTensor<Self>, b: FloatTensor<Self>, slope: f32) -> FloatTensor<Self>;
    fn leaky_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        slope: f32,
    ) -> FloatTensor<Self>;
}

/// One output value per pair of input values, in parallel.
fn by_pairs(
    a: FloatTensor<Flex>,
    b: FloatTensor<Flex>,
    f: impl Fn(&[f32], &[f32], &mut [f32]) + Sync,
) -> FloatTensor<Flex> {
    let (a, b) = (Contiguous::of(a), Contiguous::of(b));
    let mut out = vec![0.0; a.values().len()];
    out.par_chunks_mut(CHUNK)
        .zip(a.values().par_chunks(CHUNK).zip(b.values().par_chunks(CHUNK)))
        .for_each(|(out, (a, b))| f(a, b, out));
    tensor_like(out, &a)
}

impl Activation for Flex {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self> {
        overwrite(input, CHUNK, |_, values| vector::gelu(values))
    }

    fn gelu_gradient(input: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        by_pairs(input, gradient, vector::gelu_gradient)
    }

    fn add_leaky(a: FloatTensor<Self>, b: FloatTensor<Self>, slope: f32) -> FloatTensor<Self> {
        let b = Contiguous::of(b);
        overwrite(a, CHUNK, |at, values| vector::add_leaky(values, &b.values()[at..], slope))
    }

    fn leaky_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        slope: f32,
    ) -> FloatTensor<Self> {
        by_pairs(output, gradient, |output, gradient, out| {
            vector::leaky_gradient(output, gradient, slope, out);
        })
    }
}

#[derive(Debug)]
struct GeluBackward;

impl<B: Activation> Backward<B, 1> for GeluBackward {
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

/// GELU once more in the backward pass, where that is to spare memory.
#[derive(Debug)]
struct GeluAgain<B> {
    input: NodeId,
    backend: PhantomData<B>,
}

impl<B: Activation> RetroForward for GeluAgain<B> {
    fn forward(&self, states: &mut BackwardStates, node: NodeId) {
        let input = states.get_state::<FloatTensor<B>>(&self.input);
        states.save(node, B::gelu_of(input));
    }
}

#[derive(Debug)]
struct AddLeakyBackward;

impl<B: Activation> Backward<B, 2> for AddLeakyBackward {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (output, slope) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let gradient = B::leaky_gradient(output, gradient, slope);
        for node in ops.parents.into_iter().flatten() {
            grads.register::<B>(node.id, gradient.clone());
        }
    }
}

impl<B: Activation, C: CheckpointStrategy> Activation for Autodiff<B, C> {
    fn gelu_of(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = input.node();
        let again = GeluAgain::<B> { input: node.id(), backend: PhantomData };
        let prepared = GeluBackward.prepare::<C>([node]).memory_bound().retro_forward(again);
        match prepared.parents([&input]).stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&input);
                prep.finish(state, B::gelu_of(input.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::gelu_of(input.into_primitive())),
        }
    }

    fn add_leaky(a: FloatTensor<Self>, b: FloatTensor<Self>, slope: f32) -> FloatTensor<Self> {
        match AddLeakyBackward.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::add_leaky(a.into_primitive(), b.into_primitive(), slope);
                prep.finish((output.clone(), slope), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::add_leaky(a.into_primitive(), b.into_primitive(), slope))
            }
        }
    }

    fn gelu_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }

    fn leaky_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>, _: f32) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }
}
