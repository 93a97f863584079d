//! One step of AdamW in one pass over weights, gradient and moments.

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

/// The constants of one step, in float64: in float32, `1 − β₂` would be wrong in its fifth digit.
#[derive(Clone, Copy, Debug)]
pub struct AdamWStep {
    /// Share of the mean gradient that is kept.
    pub beta1: f64,
    /// Share of the mean squared gradient that is kept.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// What is left of a weight after its decay.
    pub kept: f64,
    /// The rate over the part of the mean gradient that has been seen so far, `rate / (1 − β₁ᵗ)`.
    pub step_size: f64,
    /// The part of the mean squared gradient that has been seen so far, `1 − β₂ᵗ`.
    pub seen: f64,
}

/// Weights and moments, flat.
#[derive(Clone, Debug)]
pub struct AdamWState {
    /// The weights.
    pub weights: Tensor<1>,
    /// Mean of the gradients.
    pub first: Tensor<1>,
    /// Mean of the squared gradients.
    pub second: Tensor<1>,
}

/// Weights and moments after one step along `gradient` (Loshchilov and Hutter, 2019, algorithm 2); nothing
/// here is tracked.
pub fn adamw(state: AdamWState, gradient: Tensor<1>, step: AdamWStep) -> AdamWState {
    let AdamWState { weights, first, second } = state;
    if on_cpu(&weights) {
        let [weights, gradient, first, second] =
            [weights, gradient, first, second].map(Tensor::into_dispatch);
        let (weights, first, second) = Dispatch::adamw_of(weights, gradient, first, second, step);
        let [weights, first, second] = [weights, first, second].map(Tensor::from_dispatch);
        return AdamWState { weights, first, second };
    }
    let first = first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let spread = (second.clone() / step.seen).sqrt() + step.epsilon;
    let weights = weights * step.kept - first.clone() / spread * step.step_size;
    AdamWState { weights, first, second }
}

#[backend_extension(Flex)]
trait AdamW: Backend {
    fn adamw_of(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl AdamW for Flex {
    fn adamw_of(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut weights, mut first, mut second] = [weights, first, second].map(Contiguous::of_its_own);
        let gradient = Contiguous::of(gradient);
        weights
            .values_mut()
            .par_chunks_mut(CHUNK)
            .zip(first.values_mut().par_chunks_mut(CHUNK))
            .zip(second.values_mut().par_chunks_mut(CHUNK))
            .zip(gradient.values().par_chunks(CHUNK))
            .for_each(|(((weights, first), second), gradient)| {
                vector::adamw(weights, first, second, gradient, step);
            });
        (weights.into_tensor(), first.into_tensor(), second.into_tensor())
    }
}
