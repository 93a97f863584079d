//! A part of a network whose insides the backward pass computes once more instead of remembering them (gradient
//! checkpointing; Chen et al. 2016, arXiv:1604.06174).

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

use crate::extension::on_cpu;

/// Around a block, and within one that is computed once more.
type Outside = Autodiff<Flex, BalancedCheckpointing>;
type Inside = Autodiff<Flex, NoCheckpointing>;

/// `forward(block, inputs)`, of which nothing but the inputs is remembered where their device was opened with gradient
/// checkpointing: the backward pass computes the rest once more, and finds the same gradients. On other devices than
/// the CPU it is `forward` alone.
///
/// `forward` must give the same whenever it is called, and read nothing that learns but `block` and the inputs; of
/// anything else the backward pass would wait for itself.
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
    let weights = Weights::of(block);
    let are_tracked = inputs.each_ref().map(Tensor::is_tracked);
    if weights.0.iter().all(Option::is_none) && !are_tracked.contains(&true) {
        return forward(block, inputs);
    }
    let values = inputs.clone().map(Tensor::inner);
    let block = block.valid();
    let output = forward(&block, values.clone());
    with_gradient(inputs, output, move |parents, gradient, grads| {
        let mut are_tracked = are_tracked.into_iter();
        let leaves = values.map(|value| {
            Tensor::from_inner(value).set_require_grad(are_tracked.next().expect("one for each input"))
        });
        let block = block.train();
        let mut inner = backward_from(forward(&block, leaves.clone()), gradient);
        for (leaf, parent) in leaves.iter().zip(parents) {
            if let (Some(node), Some(gradient)) = (parent, leaf.grad_remove(&mut inner)) {
                grads.register::<Flex>(node, primitive(gradient));
            }
        }
        weights.register(&block, &mut inner, grads);
    })
}

/// Where the gradients of a block's weights belong, in the order in which a visitor sees them; nowhere for those that
/// do not learn.
struct Weights(Vec<Option<NodeId>>);

impl Weights {
    fn of<M: Module>(block: &M) -> Self {
        let mut weights = Self(Vec::new());
        block.visit(&mut weights);
        weights
    }

    fn register<M: Module>(self, block: &M, inner: &mut tensor::Gradients, outer: &mut Gradients) {
        block.visit(&mut Registrar { nodes: self.0.into_iter(), inner, outer });
    }
}

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weight = param.val();
        self.0.push(weight.is_tracked().then(|| outside(weight).id()));
    }
}

struct Registrar<'a> {
    nodes: std::vec::IntoIter<Option<NodeId>>,
    inner: &'a mut tensor::Gradients,
    outer: &'a mut Gradients,
}

impl ModuleVisitor for Registrar<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let node = self.nodes.next().expect("the block has as many weights as before");
        if let (Some(node), Some(gradient)) = (node, param.val().grad_remove(self.inner)) {
            self.outer.register::<Flex>(node, primitive(gradient));
        }
    }
}

/// `output` as a node of the graph whose gradient `backward` passes on.
fn with_gradient<const N: usize, const D: usize>(
    mut inputs: [Tensor<D>; N],
    output: Tensor<D>,
    backward: impl FnOnce([Option<NodeId>; N], Tensor<D>, &mut Gradients) + Send + 'static,
) -> Tensor<D> {
    if !inputs.iter().any(Tensor::is_tracked) {
        // A node is reached through its inputs alone, and the weights of the block want their gradients.
        inputs[0] = inputs[0].clone().detach().require_grad();
    }
    let nodes = inputs.map(|input| outside(input).node());
    let run = move |parents, gradient, grads: &mut Gradients| {
        backward(parents, Tensor::from_primitive::<Flex>(gradient), grads);
    };
    let step = Step(Arc::new(Mutex::new(Some(Box::new(run)))));
    let output = match RecomputedBackward.prepare::<BalancedCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(step, primitive(output)),
        OpsKind::UnTracked(_) => unreachable!("one input is tracked"),
    };
    Tensor::from_primitive::<Outside>(output)
}

/// What the backward pass does at a node, once.
type Run<const N: usize> = Box<dyn FnOnce([Option<NodeId>; N], FloatTensor<Flex>, &mut Gradients) + Send>;

#[derive(Clone)]
struct Step<const N: usize>(Arc<Mutex<Option<Run<N>>>>);

impl<const N: usize> fmt::Debug for Step<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

#[derive(Debug)]
struct RecomputedBackward;

impl<const N: usize> Backward<Flex, N> for RecomputedBackward {
    type State = Step<N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let run = ops.state.0.lock().expect("nothing panics while it is locked").take();
        run.expect("a node is passed once")(
            ops.parents.map(|node| node.map(|node| node.id)),
            gradient,
            grads,
        );
    }
}

/// The gradients of what `output` was made of, where its own is `gradient`.
fn backward_from<const D: usize>(output: Tensor<D>, gradient: Tensor<D>) -> tensor::Gradients {
    let device = output.device().inner();
    let output = output.try_into_primitive::<Inside>().expect("a block is computed with autodiff");
    let end = primitive(Tensor::<1>::zeros([1], &device));
    let end = match GivenBackward.prepare::<NoCheckpointing>([output.node()]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(primitive(gradient), end),
        OpsKind::UnTracked(_) => unreachable!("a block learns, or its input is tracked"),
    };
    Tensor::<1>::from_primitive::<Inside>(end).backward()
}

/// An end of a graph, whose gradient is given.
#[derive(Debug)]
struct GivenBackward;

impl Backward<Flex, 1> for GivenBackward {
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

fn outside<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Outside> {
    tensor.try_into_primitive::<Outside>().expect("a CPU tensor with gradient checkpointing")
}
