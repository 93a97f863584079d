//! AdamW against its formula in float64.

use bipvl_kernels::{AdamWState, AdamWStep, adamw};
use burn::tensor::{Device, Tensor};

use crate::random::random;

/// A few roundings of float32, relative to values near one.
const TOLERANCE: f64 = 1e-6;

fn values(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn a_step_follows_the_formula() {
    let device = Device::flex();
    let count = 70_001;
    let state = AdamWState {
        weights: random([count], 1, &device),
        first: random([count], 2, &device),
        second: random([count], 3, &device).square(),
    };
    let gradient = random([count], 4, &device);
    let step = AdamWStep { beta1: 0.9, beta2: 0.99, epsilon: 1e-2, kept: 0.999, step_size: 0.1, seen: 0.5 };
    let found = adamw(state.clone(), gradient.clone(), step);
    let [weights, first, second, gradient] = [state.weights, state.first, state.second, gradient].map(values);
    let [moved, firsts, seconds] = [found.weights, found.first, found.second].map(values);
    for index in 0..count {
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
