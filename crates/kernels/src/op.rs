//! One frame for every differentiable operation: dispatch to the CPU backend, autodiff node, backward pass.

use std::{array, fmt::Debug, marker::PhantomData};

use burn::{
    backend::{
        AutodiffBackend, Backend, BackendTensor, DispatchAutodiffContext, DispatchKindConversion,
        DispatchTensor, Flex,
        autodiff::{
            Autodiff, NodeId,
            checkpoint::{
                base::Checkpointer,
                strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing},
            },
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        tensor::FloatTensor,
    },
    tensor::{GradientCheckpointingStrategy, Tensor},
};

/// A tensor of the CPU backend.
pub(crate) type CpuTensor = FloatTensor<Flex>;

/// A differentiable operation on `N` tensors with a CPU kernel, as `torch.autograd.Function`. Its fields are the
/// arguments that are no tensors.
pub(crate) trait Op<const N: usize>: Clone + Debug + Send + 'static {
    /// Whether the backward pass reads each input.
    const SAVED_INPUTS: [bool; N];
    /// Whether the backward pass reads the output.
    const SAVES_OUTPUT: bool = false;

    /// The output.
    fn forward(&self, inputs: [CpuTensor; N]) -> CpuTensor;

    /// Gradients of the inputs; those of inputs that `needs_grad` excludes are ignored and may be `None`.
    fn backward(&self, saved: Saved<N>, grad: CpuTensor, needs_grad: [bool; N]) -> [Option<CpuTensor>; N];
}

/// What [`Op::forward`] left for [`Op::backward`].
pub(crate) struct Saved<const N: usize> {
    inputs: [Option<CpuTensor>; N],
    output: Option<CpuTensor>,
}

impl<const N: usize> Saved<N> {
    /// The input at `index`, once; `SAVED_INPUTS` names it.
    pub(crate) fn input(&mut self, index: usize) -> CpuTensor {
        self.inputs[index].take().expect("an input in SAVED_INPUTS, taken once")
    }

    /// The output, once.
    pub(crate) fn output(&mut self) -> CpuTensor {
        self.output.take().expect("an output under SAVES_OUTPUT, taken once")
    }
}

/// Runs an operation on CPU tensors; a node of the autodiff graph where any of them has autodiff enabled.
pub(crate) fn apply<O: Op<N>, const N: usize, const D: usize>(
    op: O,
    inputs: [DispatchTensor; N],
) -> Tensor<D> {
    let context =
        inputs.iter().fold(DispatchAutodiffContext::Disabled, |context, input| context.merge(input.autodiff));
    match context {
        DispatchAutodiffContext::Disabled => {
            Tensor::from_primitive::<Flex>(op.forward(inputs.map(primitive::<Flex>)))
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled) => {
            apply_autodiff::<O, NoCheckpointing, N, D>(op, inputs)
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            apply_autodiff::<O, BalancedCheckpointing, N, D>(op, inputs)
        }
    }
}

fn apply_autodiff<O: Op<N>, C: CheckpointStrategy, const N: usize, const D: usize>(
    op: O,
    inputs: [DispatchTensor; N],
) -> Tensor<D>
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let inputs = inputs.map(|input| match input.autodiff {
        DispatchAutodiffContext::Disabled => Autodiff::<Flex, C>::from_inner(primitive::<Flex>(input)),
        DispatchAutodiffContext::Enabled(_) => primitive::<Autodiff<Flex, C>>(input),
    });
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Flex, C>>::node);
    let output = match OpBackward::<O>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(mut prep) => {
            let saved =
                array::from_fn(|index| O::SAVED_INPUTS[index].then(|| prep.checkpoint(&inputs[index])));
            let output = op.forward(inputs.map(FloatTensor::<Autodiff<Flex, C>>::into_primitive));
            let saved_output = O::SAVES_OUTPUT.then(|| output.clone());
            prep.finish(OpState { op, inputs: saved, output: saved_output }, output)
        }
        OpsKind::UnTracked(prep) => {
            prep.finish(op.forward(inputs.map(FloatTensor::<Autodiff<Flex, C>>::into_primitive)))
        }
    };
    Tensor::from_primitive::<Autodiff<Flex, C>>(output)
}

fn primitive<B: Backend>(tensor: DispatchTensor) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let tensor: BackendTensor<B> =
        DispatchTensor::try_into_backend(tensor).expect("all inputs of a CPU kernel are on the CPU");
    tensor.float()
}

#[derive(Clone, Debug)]
struct OpState<O, const N: usize> {
    op: O,
    inputs: [Option<NodeId>; N],
    output: Option<CpuTensor>,
}

#[derive(Debug)]
struct OpBackward<O>(PhantomData<fn() -> O>);

impl<O: Op<N>, const N: usize> Backward<Flex, N> for OpBackward<O> {
    type State = OpState<O, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let OpState { op, inputs, output } = ops.state;
        let inputs = inputs.map(|node| node.map(|node| checkpointer.retrieve_node_output(node)));
        let grad = grads.consume::<Flex>(&ops.node);
        let needs_grad = ops.parents.each_ref().map(Option::is_some);
        let input_grads = op.backward(Saved { inputs, output }, grad, needs_grad);
        for (parent, grad) in ops.parents.into_iter().zip(input_grads) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}
