//! One step of AdamW in one pass over parameters, gradient and moments.

use burn::{backend::Flex, tensor::Tensor};
use rayon::prelude::*;

use crate::{
    flex::{Contiguous, on_cpu},
    op::CpuTensor,
    simd,
};

/// Values per task: they fit the L2 cache with their moments.
const CHUNK: usize = 1 << 15;

/// Constants of one step, in float64: in float32, `1 − β₂` would be wrong in its fifth digit.
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// β₁, the decay rate of the first moment.
    pub beta1: f64,
    /// β₂, the decay rate of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Factor on the parameters, `1 − learning rate · weight decay`.
    pub decay: f64,
    /// Learning rate over the first bias correction, `lr / (1 − β₁ᵗ)`.
    pub step_size: f64,
    /// Second bias correction, `1 − β₂ᵗ`.
    pub bias_correction2: f64,
}

/// Parameters and moments, flat.
#[derive(Clone, Debug)]
pub struct AdamWState {
    /// The parameters.
    pub params: Tensor<1>,
    /// First moment: exponential average of the gradients.
    pub exp_avg: Tensor<1>,
    /// Second moment: exponential average of the squared gradients.
    pub exp_avg_sq: Tensor<1>,
}

/// Parameters and moments after one step (Loshchilov and Hutter, 2019, algorithm 2).
///
/// # Panics
///
/// When a tensor is on the CPU and has autodiff enabled: a step is outside of any graph.
pub fn adamw(state: AdamWState, grad: Tensor<1>, step: AdamWStep) -> AdamWState {
    let AdamWState { params, exp_avg, exp_avg_sq } = state;
    if on_cpu(&params) {
        let tensors = [params, grad, exp_avg, exp_avg_sq]
            .map(|tensor| tensor.try_into_primitive::<Flex>().expect("CPU tensors without autodiff"));
        let [params, exp_avg, exp_avg_sq] = on_slices(tensors, step).map(Tensor::from_primitive::<Flex>);
        return AdamWState { params, exp_avg, exp_avg_sq };
    }
    let exp_avg = exp_avg * step.beta1 + grad.clone() * (1.0 - step.beta1);
    let exp_avg_sq = exp_avg_sq * step.beta2 + grad.square() * (1.0 - step.beta2);
    let denominator = (exp_avg_sq.clone() / step.bias_correction2).sqrt() + step.epsilon;
    let params = params * step.decay - exp_avg.clone() / denominator * step.step_size;
    AdamWState { params, exp_avg, exp_avg_sq }
}

fn on_slices([params, grad, exp_avg, exp_avg_sq]: [CpuTensor; 4], step: AdamWStep) -> [CpuTensor; 3] {
    let [mut params, mut exp_avg, mut exp_avg_sq] =
        [params, exp_avg, exp_avg_sq].map(Contiguous::make_unique);
    let grad = Contiguous::new(grad);
    params
        .values_mut()
        .par_chunks_mut(CHUNK)
        .zip(exp_avg.values_mut().par_chunks_mut(CHUNK))
        .zip(exp_avg_sq.values_mut().par_chunks_mut(CHUNK))
        .zip(grad.values().par_chunks(CHUNK))
        .for_each(|(((params, exp_avg), exp_avg_sq), grad)| {
            simd::adamw(params, exp_avg, exp_avg_sq, grad, step);
        });
    [params, exp_avg, exp_avg_sq].map(Contiguous::into_tensor)
}
