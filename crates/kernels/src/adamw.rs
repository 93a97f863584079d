//! One step of AdamW in one pass over parameters, gradient and moments.

use burn::{
    backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};
use rayon::prelude::*;

use crate::{
    extension::{Contiguous, on_cpu},
    vector,
};

/// Values one task works on: they fit the L2 cache with their moments.
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

/// Parameters and moments after one step (Loshchilov and Hutter, 2019, algorithm 2), outside of any autodiff graph.
pub fn adamw(state: AdamWState, grad: Tensor<1>, step: AdamWStep) -> AdamWState {
    let AdamWState { params, exp_avg, exp_avg_sq } = state;
    if on_cpu(&params) {
        let [params, grad, exp_avg, exp_avg_sq] =
            [params, grad, exp_avg, exp_avg_sq].map(Tensor::into_dispatch);
        let (params, exp_avg, exp_avg_sq) = Dispatch::adamw_step(params, grad, exp_avg, exp_avg_sq, step);
        let [params, exp_avg, exp_avg_sq] = [params, exp_avg, exp_avg_sq].map(Tensor::from_dispatch);
        return AdamWState { params, exp_avg, exp_avg_sq };
    }
    let exp_avg = exp_avg * step.beta1 + grad.clone() * (1.0 - step.beta1);
    let exp_avg_sq = exp_avg_sq * step.beta2 + grad.square() * (1.0 - step.beta2);
    let denominator = (exp_avg_sq.clone() / step.bias_correction2).sqrt() + step.epsilon;
    let params = params * step.decay - exp_avg.clone() / denominator * step.step_size;
    AdamWState { params, exp_avg, exp_avg_sq }
}

#[backend_extension(Flex)]
trait AdamW: Backend {
    fn adamw_step(
        params: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        exp_avg: FloatTensor<Self>,
        exp_avg_sq: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AdamW for Flex {
    fn adamw_step(
        params: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        exp_avg: FloatTensor<Self>,
        exp_avg_sq: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut params, mut exp_avg, mut exp_avg_sq] =
            [params, exp_avg, exp_avg_sq].map(Contiguous::of_its_own);
        let grad = Contiguous::of(grad);
        params
            .values_mut()
            .par_chunks_mut(CHUNK)
            .zip(exp_avg.values_mut().par_chunks_mut(CHUNK))
            .zip(exp_avg_sq.values_mut().par_chunks_mut(CHUNK))
            .zip(grad.values().par_chunks(CHUNK))
            .for_each(|(((params, exp_avg), exp_avg_sq), grad)| {
                vector::adamw(params, exp_avg, exp_avg_sq, grad, step);
            });
        (params.into_tensor(), exp_avg.into_tensor(), exp_avg_sq.into_tensor())
    }
}
