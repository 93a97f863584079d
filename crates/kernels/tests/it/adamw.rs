//! AdamW against its formula in float64.

use bipvl_kernels::{AdamWState, AdamWStep, adamw};
use burn::tensor::{Device, Tensor};

use crate::random::random;

/// A few roundings of float32, relative to values near one.
const TOLERANCE: f64 = 1e-6;

fn values(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

const COUNT: usize = 70_001;
const STEP: AdamWStep =
    AdamWStep { beta1: 0.9, beta2: 0.99, epsilon: 1e-2, kept: 0.999, step_size: 0.1, seen: 0.5 };

fn state() -> AdamWState {
    let device = Device::flex();
    AdamWState {
        weights: random([COUNT], 1, &device),
        first: random([COUNT], 2, &device),
        second: random([COUNT], 3, &device).square(),
    }
}

#[test]
fn a_step_follows_the_formula() {
    let (state, gradient) = (state(), random([COUNT], 4, &Device::flex()));
    let found = adamw(state.clone(), gradient.clone(), STEP);
    let [weights, first, second, gradient] = [state.weights, state.first, state.second, gradient].map(values);
    let [moved, firsts, seconds] = [found.weights, found.first, found.second].map(values);
    for index in 0..COUNT {
        let g = gradient[index];
        let m = 0.9 * first[index] + 0.1 * g;
        let v = 0.99 * second[index] + 0.01 * g * g;
        let w = weights[index] * 0.999 - 0.1 * m / ((v / 0.5).sqrt() + 1e-2);
        for (found, expected) in [(firsts[index], m), (seconds[index], v), (moved[index], w)] {
            let bound = TOLERANCE * expected.abs().max(1.0);
            assert!((found - expected).abs() <= bound, "at {index}: expected {expected}, found {found}");
        }
    }
}

#[test]
fn what_nobody_else_reads_is_overwritten_with_the_same_bits() {
    let (shared, gradient) = (state(), random([COUNT], 4, &Device::flex()));
    let by_copies = adamw(shared.clone(), gradient.clone(), STEP);
    let in_place = adamw(state(), gradient, STEP);
    for [copied, overwritten] in [
        [by_copies.weights, in_place.weights],
        [by_copies.first, in_place.first],
        [by_copies.second, in_place.second],
    ] {
        assert_eq!(values(copied), values(overwritten));
    }
    assert_eq!(values(shared.weights), values(state().weights));
}
