//! Gradient checkpointing of a block: its activations are computed again in the backward pass instead of saved (Chen et
//! al. 2016, arXiv:1604.06174).

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use burn::{
    backend::{
        Flex,
        autodiff::{
            Autodiff, NodeId,
            checkpoint::{
                base::Checkpointer,
                strategy::{BalancedCheckpointing, NoCheckpointing},
            },
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        tensor::FloatTensor,
    },
    module::{Module, ModuleVisitor, Param},
    tensor::{self, GradientCheckpointingStrategy, Tensor},
};

use crate::flex::on_cpu;

/// Backend outside of a checkpointed block, and inside of it when it is computed again.
type Outer = Autodiff<Flex, BalancedCheckpointing>;
type Inner = Autodiff<Flex, NoCheckpointing>;

/// `forward(block, inputs)`, as `torch.utils.checkpoint`: on a CPU device with gradient checkpointing only the inputs
/// are saved, and the backward pass computes the block again, with the same gradients to the bit. On other devices it is
/// `forward` alone.
///
/// `forward` must be deterministic and read no trainable tensor besides `block` and `inputs`: the backward pass would
/// wait for any other to be finished and never return.
pub fn checkpoint<M: Module + 'static, const N: usize, const D: usize>(
    block: &M,
    inputs: [Tensor<D>; N],
    forward: impl Fn(&M, [Tensor<D>; N]) -> Tensor<D> + Send + 'static,
) -> Tensor<D> {
    let is_checkpointed = |input: &Tensor<D>| {
        input.gradient_checkpointing_strategy() == Some(GradientCheckpointingStrategy::Balanced)
    };
    if !inputs.iter().all(is_checkpointed) || !on_cpu(&inputs[0]) {
        return forward(block, inputs);
    }
    let params = ParamNodes::new(block);
    let requires_grad = inputs.each_ref().map(Tensor::is_tracked);
    if params.0.iter().all(Option::is_none) && !requires_grad.contains(&true) {
        return forward(block, inputs);
    }
    let values = inputs.clone().map(Tensor::inner);
    let block = block.valid();
    let output = forward(&block, values.clone());
    with_backward(inputs, output, move |parents, gradient, grads| {
        let mut requires_grad = requires_grad.into_iter();
        let leaves = values.map(|value| {
            Tensor::from_inner(value).set_require_grad(requires_grad.next().expect("one for each input"))
        });
        let block = block.train();
        let mut inner = backward_from(forward(&block, leaves.clone()), gradient);
        for (leaf, parent) in leaves.iter().zip(parents) {
            if let (Some(node), Some(gradient)) = (parent, leaf.grad_remove(&mut inner)) {
                grads.register::<Flex>(node, primitive(gradient));
            }
        }
        params.register(&block, &mut inner, grads);
    })
}

/// Graph nodes of a block's parameters, in the order of a visitor; `None` for frozen ones.
struct ParamNodes(Vec<Option<NodeId>>);

impl ParamNodes {
    fn new<M: Module>(block: &M) -> Self {
        let mut nodes = Self(Vec::new());
        block.visit(&mut nodes);
        nodes
    }

    fn register<M: Module>(self, block: &M, inner: &mut tensor::Gradients, outer: &mut Gradients) {
        block.visit(&mut GradientRegistrar { nodes: self.0.into_iter(), inner, outer });
    }
}

impl ModuleVisitor for ParamNodes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let param = param.val();
        self.0.push(param.is_tracked().then(|| outer(param).id()));
    }
}

struct GradientRegistrar<'a> {
    nodes: std::vec::IntoIter<Option<NodeId>>,
    inner: &'a mut tensor::Gradients,
    outer: &'a mut Gradients,
}

impl ModuleVisitor for GradientRegistrar<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let node = self.nodes.next().expect("a block has a constant number of parameters");
        if let (Some(node), Some(gradient)) = (node, param.val().grad_remove(self.inner)) {
            self.outer.register::<Flex>(node, primitive(gradient));
        }
    }
}

/// `output` as a node of the graph with this backward pass.
fn with_backward<const N: usize, const D: usize>(
    mut inputs: [Tensor<D>; N],
    output: Tensor<D>,
    backward: impl FnOnce([Option<NodeId>; N], Tensor<D>, &mut Gradients) + Send + 'static,
) -> Tensor<D> {
    if !inputs.iter().any(Tensor::is_tracked) {
        // The backward pass reaches a node through its inputs only, and the parameters of the block need gradients.
        inputs[0] = inputs[0].clone().detach().require_grad();
    }
    let nodes = inputs.map(|input| outer(input).node());
    let run = move |parents, gradient, grads: &mut Gradients| {
        backward(parents, Tensor::from_primitive::<Flex>(gradient), grads);
    };
    let state = BackwardOnce(Arc::new(Mutex::new(Some(Box::new(run)))));
    let output = match CheckpointBackward.prepare::<BalancedCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, primitive(output)),
        OpsKind::UnTracked(_) => unreachable!("one input is tracked"),
    };
    Tensor::from_primitive::<Outer>(output)
}

/// Backward pass of a node, callable once.
type BackwardFn<const N: usize> =
    Box<dyn FnOnce([Option<NodeId>; N], FloatTensor<Flex>, &mut Gradients) + Send>;

#[derive(Clone)]
struct BackwardOnce<const N: usize>(Arc<Mutex<Option<BackwardFn<N>>>>);

impl<const N: usize> fmt::Debug for BackwardOnce<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackwardOnce")
    }
}

#[derive(Debug)]
struct CheckpointBackward;

impl<const N: usize> Backward<Flex, N> for CheckpointBackward {
    type State = BackwardOnce<N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let run = ops.state.0.lock().expect("no panic while it is locked").take();
        run.expect("the backward pass visits a node once")(
            ops.parents.map(|node| node.map(|node| node.id)),
            gradient,
            grads,
        );
    }
}

/// Gradients of the leaves of `output`, given its own.
fn backward_from<const D: usize>(output: Tensor<D>, gradient: Tensor<D>) -> tensor::Gradients {
    let device = output.device().inner();
    let output = output.try_into_primitive::<Inner>().expect("a block is computed with autodiff");
    let root = primitive(Tensor::<1>::zeros([1], &device));
    let root = match RootBackward.prepare::<NoCheckpointing>([output.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(primitive(gradient), root),
        OpsKind::UnTracked(_) => unreachable!("a parameter or an input is tracked"),
    };
    Tensor::<1>::from_primitive::<Inner>(root).backward()
}

/// Root of a graph that replaces its gradient by a given one.
#[derive(Debug)]
struct RootBackward;

impl Backward<Flex, 1> for RootBackward {
    type State = FloatTensor<Flex>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        grads.consume::<Flex>(&ops.node);
        let [node] = ops.parents;
        grads.register::<Flex>(node.expect("a tracked output").id, ops.state);
    }
}

fn primitive<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Flex> {
    tensor.try_into_primitive::<Flex>().expect("a CPU tensor without autodiff")
}

fn outer<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Outer> {
    tensor.try_into_primitive::<Outer>().expect("a CPU tensor with gradient checkpointing")
}
