//! Normalization: instance norm of feature maps with its activation and what is carried around it, and layer norm
//! of tokens.

mod cpu;

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

use crate::extension::{Contiguous, dims, on_cpu, overwrite, tensor, tensor_like};

/// Normalizes each channel of each sample over its voxels, then applies `leaky`, which multiplies
/// negative values by `slope` (1 leaves them). No learned scale, no running statistics, biased variance.
///
/// # Shapes
///
/// - `input` and output: `[batch, x, y, z, channels]`
pub fn instance_norm(input: Tensor<5>, epsilon: f32, slope: f32) -> Tensor<5> {
    if on_cpu(&input) {
        return Tensor::from_dispatch(Dispatch::instance_norm_of(input.into_dispatch(), epsilon, slope));
    }
    let [batch, x, y, z, channels] = input.dims();
    let rows = input.reshape([batch, x * y * z, channels]);
    let centered = rows.clone() - rows.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    let normal = centered / (variance + epsilon).sqrt();
    activation::leaky_relu(normal, f64::from(slope)).reshape([batch, x, y, z, channels])
}

/// `leaky(norm(input) + carried)`, the end of a residual block, where norm is [`instance_norm`] without an
/// activation.
///
/// # Shapes
///
/// - `input`, `carried` and output: `[batch, x, y, z, channels]`
pub fn instance_norm_add(input: Tensor<5>, carried: Tensor<5>, epsilon: f32, slope: f32) -> Tensor<5> {
    assert_eq!(input.dims(), carried.dims(), "what is carried around a norm has its shape");
    if on_cpu(&input) {
        let (input, carried) = (input.into_dispatch(), carried.into_dispatch());
        return Tensor::from_dispatch(Dispatch::instance_norm_add_of(input, carried, epsilon, slope));
    }
    activation::leaky_relu(instance_norm(input, epsilon, cpu::NO_ACTIVATION) + carried, f64::from(slope))
}

/// Normalizes the last axis, then scales by `gamma` and shifts by `beta`.
///
/// # Shapes
///
/// - `input` and output: `[.., channels]`
/// - `gamma`, `beta`: `[channels]`
pub fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
) -> Tensor<D> {
    assert_eq!(gamma.dims(), [input.dims()[D - 1]], "layer norm scales the last axis");
    if on_cpu(&input) {
        let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
        return Tensor::from_dispatch(Dispatch::layer_norm_of(input.into_dispatch(), gamma, beta, epsilon));
    }
    let centered = input.clone() - input.mean_dim(D - 1);
    let variance = centered.clone().square().mean_dim(D - 1);
    centered / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

#[backend_extension(Autodiff, Flex)]
trait Normalization: Backend {
    fn instance_norm_of(input: FloatTensor<Self>, epsilon: f32, slope: f32) -> FloatTensor<Self>;
    fn instance_norm_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> FloatTensor<Self>;
    fn instance_norm_add_of(
        input: FloatTensor<Self>,
        carried: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> FloatTensor<Self>;
    /// Gradients of input and carried.
    fn instance_norm_add_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn layer_norm_of(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
    /// Gradients of input, gamma and beta.
    fn layer_norm_gradient(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl Normalization for Flex {
    fn instance_norm_of(input: FloatTensor<Self>, epsilon: f32, slope: f32) -> FloatTensor<Self> {
        let [batch, .., channels] = dims::<5>(&input);
        let input = Contiguous::of(input);
        let norm = cpu::InstanceNorm::new(input.values(), [batch, channels], epsilon, slope);
        overwrite(input.into_tensor(), cpu::ROWS * channels, |at, rows| norm.apply(at, rows, None))
    }

    fn instance_norm_gradient(
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> FloatTensor<Self> {
        let [batch, .., channels] = dims::<5>(&input);
        let (input, gradient) = (Contiguous::of(input), Contiguous::of(gradient));
        let (values, of_output) = (input.values(), gradient.values());
        let norm = cpu::InstanceNormGradient::new(values, of_output, [batch, channels], epsilon, slope);
        tensor_like(norm.of_input(values, of_output), &input)
    }

    fn instance_norm_add_of(
        input: FloatTensor<Self>,
        carried: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> FloatTensor<Self> {
        let [batch, .., channels] = dims::<5>(&input);
        let (input, carried) = (Contiguous::of(input), Contiguous::of(carried));
        let norm = cpu::InstanceNorm::new(input.values(), [batch, channels], epsilon, slope);
        overwrite(input.into_tensor(), cpu::ROWS * channels, |at, rows| {
            norm.apply(at, rows, Some(carried.values()));
        })
    }

    fn instance_norm_add_gradient(
        input: FloatTensor<Self>,
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [batch, .., channels] = dims::<5>(&input);
        let (input, output) = (Contiguous::of(input), Contiguous::of(output));
        let mut carried = Contiguous::of_its_own(gradient);
        let norm = cpu::InstanceNormGradient::with_carried(
            input.values(),
            output.values(),
            carried.values_mut(),
            [batch, channels],
            epsilon,
            slope,
        );
        // The output may be the last of a large map, and another as large is made now.
        drop(output);
        let of_input = norm.of_input(input.values(), carried.values());
        (tensor_like(of_input, &input), carried.into_tensor())
    }

    fn layer_norm_of(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let (input, gamma, beta) = (Contiguous::of(input), Contiguous::of(gamma), Contiguous::of(beta));
        tensor_like(cpu::layer_norm(input.values(), gamma.values(), beta.values(), epsilon), &input)
    }

    fn layer_norm_gradient(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [channels] = dims::<1>(&gamma);
        let (input, gamma, gradient) =
            (Contiguous::of(input), Contiguous::of(gamma), Contiguous::of(gradient));
        let gradients = cpu::layer_norm_gradient(input.values(), gamma.values(), gradient.values(), epsilon);
        let of_input = tensor_like(gradients.input, &input);
        (of_input, tensor(gradients.gamma, [channels]), tensor(gradients.beta, [channels]))
    }
}

#[derive(Debug)]
struct InstanceNormBackward;

impl<B: Normalization> Backward<B, 1> for InstanceNormBackward {
    type State = (NodeId, f32, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [node] = ops.parents;
        let (input, epsilon, slope) = ops.state;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(input);
        let gradient = grads.consume::<B>(&ops.node);
        if let Some(node) = node {
            grads.register::<B>(node.id, B::instance_norm_gradient(input, gradient, epsilon, slope));
        }
    }
}

#[derive(Debug)]
struct InstanceNormAddBackward;

impl<B: Normalization> Backward<B, 2> for InstanceNormAddBackward {
    type State = (NodeId, FloatTensor<B>, f32, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, output, epsilon, slope) = ops.state;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(input);
        let gradient = grads.consume::<B>(&ops.node);
        let (input, carried) = B::instance_norm_add_gradient(input, output, gradient, epsilon, slope);
        for (node, gradient) in ops.parents.into_iter().zip([input, carried]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward;

impl<B: Normalization> Backward<B, 3> for LayerNormBackward {
    type State = (NodeId, NodeId, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (input, gamma, epsilon) = ops.state;
        let input: FloatTensor<B> = checkpointer.retrieve_node_output(input);
        let gamma: FloatTensor<B> = checkpointer.retrieve_node_output(gamma);
        let gradient = grads.consume::<B>(&ops.node);
        let (input, gamma, beta) = B::layer_norm_gradient(input, gamma, gradient, epsilon);
        for (node, gradient) in ops.parents.into_iter().zip([input, gamma, beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Normalization, C: CheckpointStrategy> Normalization for Autodiff<B, C> {
    fn instance_norm_of(input: FloatTensor<Self>, epsilon: f32, slope: f32) -> FloatTensor<Self> {
        match InstanceNormBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), epsilon, slope);
                prep.finish(state, B::instance_norm_of(input.into_primitive(), epsilon, slope))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::instance_norm_of(input.into_primitive(), epsilon, slope))
            }
        }
    }

    fn instance_norm_add_of(
        input: FloatTensor<Self>,
        carried: FloatTensor<Self>,
        epsilon: f32,
        slope: f32,
    ) -> FloatTensor<Self> {
        let parents = [input.node(), carried.node()];
        match InstanceNormAddBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = prep.checkpoint(&input);
                let [input, carried] = [input, carried].map(FloatTensor::<Self>::into_primitive);
                let output = B::instance_norm_add_of(input, carried, epsilon, slope);
                prep.finish((kept, output.clone(), epsilon, slope), output)
            }
            OpsKind::UnTracked(prep) => {
                let [input, carried] = [input, carried].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::instance_norm_add_of(input, carried, epsilon, slope))
            }
        }
    }

    fn layer_norm_of(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let parents = [input.node(), gamma.node(), beta.node()];
        match LayerNormBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&gamma), epsilon);
                let [input, gamma, beta] = [input, gamma, beta].map(FloatTensor::<Self>::into_primitive);
                prep.finish(state, B::layer_norm_of(input, gamma, beta, epsilon))
            }
            OpsKind::UnTracked(prep) => {
                let [input, gamma, beta] = [input, gamma, beta].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::layer_norm_of(input, gamma, beta, epsilon))
            }
        }
    }

    fn instance_norm_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
        _: f32,
    ) -> FloatTensor<Self> {
        unreachable!("a gradient is computed on the inner backend")
    }

    fn instance_norm_add_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }

    fn layer_norm_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }
}
