//! Instance norm of feature maps, with activation and residual connection, and layer norm of tokens.

mod cpu;

use burn::tensor::{Tensor, activation};

use crate::{
    flex::{Contiguous, dims, map_in_place, on_cpu, tensor, tensor_like},
    op::{CpuTensor, Op, Saved, apply},
};

/// Normalizes each channel of each sample over its voxels, then applies a leaky ReLU (the identity for a
/// `negative_slope` of 1). No affine parameters, no running statistics, biased variance.
///
/// # Shapes
///
/// - `input` and output: `[batch, x, y, z, channels]`
pub fn instance_norm(input: Tensor<5>, epsilon: f32, negative_slope: f32) -> Tensor<5> {
    if on_cpu(&input) {
        return apply(InstanceNormOp { epsilon, negative_slope }, [input.into_dispatch()]);
    }
    let [batch, x, y, z, channels] = input.dims();
    let rows = input.reshape([batch, x * y * z, channels]);
    let centered = rows.clone() - rows.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    let normalized = centered / (variance + epsilon).sqrt();
    activation::leaky_relu(normalized, f64::from(negative_slope)).reshape([batch, x, y, z, channels])
}

/// `leaky_relu(instance_norm(input) + residual)`, the end of a residual block.
///
/// # Shapes
///
/// - `input`, `residual` and output: `[batch, x, y, z, channels]`
///
/// # Panics
///
/// When the shapes differ.
pub fn instance_norm_add(
    input: Tensor<5>,
    residual: Tensor<5>,
    epsilon: f32,
    negative_slope: f32,
) -> Tensor<5> {
    assert_eq!(input.dims(), residual.dims(), "a residual has the shape of its input");
    if on_cpu(&input) {
        let inputs = [input.into_dispatch(), residual.into_dispatch()];
        return apply(InstanceNormAddOp { epsilon, negative_slope }, inputs);
    }
    let sum = instance_norm(input, epsilon, cpu::IDENTITY_SLOPE) + residual;
    activation::leaky_relu(sum, f64::from(negative_slope))
}

/// Normalizes the last axis, then scales by `gamma` and shifts by `beta`.
///
/// # Shapes
///
/// - `input` and output: `[.., channels]`
/// - `gamma`, `beta`: `[channels]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f32,
) -> Tensor<D> {
    assert_eq!(gamma.dims(), [input.dims()[D - 1]], "layer norm scales the last axis");
    if on_cpu(&input) {
        let inputs = [input.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch()];
        return apply(LayerNormOp { epsilon }, inputs);
    }
    let centered = input.clone() - input.mean_dim(D - 1);
    let variance = centered.clone().square().mean_dim(D - 1);
    centered / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

#[derive(Clone, Debug)]
struct InstanceNormOp {
    epsilon: f32,
    negative_slope: f32,
}

impl Op<1> for InstanceNormOp {
    const SAVED_INPUTS: [bool; 1] = [true];

    fn forward(&self, [input]: [CpuTensor; 1]) -> CpuTensor {
        let [batch, .., channels] = dims::<5>(&input);
        let input = Contiguous::new(input);
        let norm =
            cpu::InstanceNorm::new(input.values(), [batch, channels], self.epsilon, self.negative_slope);
        map_in_place(input.into_tensor(), cpu::ROWS * channels, |offset, rows| norm.apply(offset, rows, None))
    }

    fn backward(&self, mut saved: Saved<1>, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        let input = saved.input(0);
        let [batch, .., channels] = dims::<5>(&input);
        let [input, grad] = [input, grad].map(Contiguous::new);
        let norm = cpu::InstanceNormGradient::new(
            input.values(),
            grad.values(),
            [batch, channels],
            self.epsilon,
            self.negative_slope,
        );
        [Some(tensor_like(norm.input(input.values(), grad.values()), &input))]
    }
}

/// Inputs: feature map and residual.
#[derive(Clone, Debug)]
struct InstanceNormAddOp {
    epsilon: f32,
    negative_slope: f32,
}

impl Op<2> for InstanceNormAddOp {
    const SAVED_INPUTS: [bool; 2] = [true, false];
    const SAVES_OUTPUT: bool = true;

    fn forward(&self, [input, residual]: [CpuTensor; 2]) -> CpuTensor {
        let [batch, .., channels] = dims::<5>(&input);
        let [input, residual] = [input, residual].map(Contiguous::new);
        let norm =
            cpu::InstanceNorm::new(input.values(), [batch, channels], self.epsilon, self.negative_slope);
        map_in_place(input.into_tensor(), cpu::ROWS * channels, |offset, rows| {
            norm.apply(offset, rows, Some(residual.values()));
        })
    }

    fn backward(&self, mut saved: Saved<2>, grad: CpuTensor, _: [bool; 2]) -> [Option<CpuTensor>; 2] {
        let [input, output] = [saved.input(0), saved.output()];
        let [batch, .., channels] = dims::<5>(&input);
        let [input, output] = [input, output].map(Contiguous::new);
        let mut residual_grad = Contiguous::make_unique(grad);
        let norm = cpu::InstanceNormGradient::with_residual(
            input.values(),
            output.values(),
            residual_grad.values_mut(),
            [batch, channels],
            self.epsilon,
            self.negative_slope,
        );
        // The output may be the last handle of a large map, and the gradient allocated next is as large.
        drop(output);
        let input_grad = norm.input(input.values(), residual_grad.values());
        [Some(tensor_like(input_grad, &input)), Some(residual_grad.into_tensor())]
    }
}

/// Inputs: tokens, gamma and beta.
#[derive(Clone, Debug)]
struct LayerNormOp {
    epsilon: f32,
}

impl Op<3> for LayerNormOp {
    const SAVED_INPUTS: [bool; 3] = [true, true, false];

    fn forward(&self, inputs: [CpuTensor; 3]) -> CpuTensor {
        let [input, gamma, beta] = inputs.map(Contiguous::new);
        tensor_like(cpu::layer_norm(input.values(), gamma.values(), beta.values(), self.epsilon), &input)
    }

    fn backward(&self, mut saved: Saved<3>, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let [input, gamma, grad] = [saved.input(0), saved.input(1), grad].map(Contiguous::new);
        let channels = gamma.values().len();
        let gradients = cpu::layer_norm_gradient(input.values(), gamma.values(), grad.values(), self.epsilon);
        [
            Some(tensor_like(gradients.input, &input)),
            Some(tensor(gradients.gamma, [channels])),
            Some(tensor(gradients.beta, [channels])),
        ]
    }
}
