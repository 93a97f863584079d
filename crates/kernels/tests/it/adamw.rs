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
    AdamWStep { beta1: 0.9, beta2: 0.99, epsilon: 1e-2, decay: 0.999, step_size: 0.1, bias_correction2: 0.5 };

fn state() -> AdamWState {
    let device = Device::flex();
    AdamWState {
        params: random([COUNT], 1, &device),
        exp_avg: random([COUNT], 2, &device),
        exp_avg_sq: random([COUNT], 3, &device).square(),
    }
}

#[test]
fn a_step_follows_the_formula() {
    let (state, gradient) = (state(), random([COUNT], 4, &Device::flex()));
    let found = adamw(state.clone(), gradient.clone(), STEP);
    let [params, exp_avg, exp_avg_sq, gradient] =
        [state.params, state.exp_avg, state.exp_avg_sq, gradient].map(values);
    let [new_params, new_avg, new_avg_sq] = [found.params, found.exp_avg, found.exp_avg_sq].map(values);
    for index in 0..COUNT {
        let g = gradient[index];
        let m = 0.9 * exp_avg[index] + 0.1 * g;
        let v = 0.99 * exp_avg_sq[index] + 0.01 * g * g;
        let w = params[index] * 0.999 - 0.1 * m / ((v / 0.5).sqrt() + 1e-2);
        for (found, expected) in [(new_avg[index], m), (new_avg_sq[index], v), (new_params[index], w)] {
            let bound = TOLERANCE * expected.abs().max(1.0);
            assert!((found - expected).abs() <= bound, "at {index}: expected {expected}, found {found}");
        }
    }
}

#[test]
fn a_step_in_place_gives_the_same_bits() {
    let (shared, gradient) = (state(), random([COUNT], 4, &Device::flex()));
    let by_copies = adamw(shared.clone(), gradient.clone(), STEP);
    let in_place = adamw(state(), gradient, STEP);
    for [copied, overwritten] in [
        [by_copies.params, in_place.params],
        [by_copies.exp_avg, in_place.exp_avg],
        [by_copies.exp_avg_sq, in_place.exp_avg_sq],
    ] {
        assert_eq!(values(copied), values(overwritten));
    }
    assert_eq!(values(shared.params), values(state().params));
}
