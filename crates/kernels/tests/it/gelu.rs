//! GELU against its definition in float64, and its gradient against Burn's.

use bipvl_kernels::gelu;
use burn::tensor::{Tensor, TensorData, activation};

use crate::{assert_close, device, random::random};

/// The approximation of erf is good to 5e-7; GELU multiplies it by at most x / 2.
const GELU_TOLERANCE: f64 = 3e-6;

/// erf by its Taylor series, good to 1e-12 for |x| < 3.
fn erf(x: f64) -> f64 {
    let (mut sum, mut term) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn gelu_is_x_times_the_normal_distribution() {
    let inputs: Vec<f32> = (-400..=400).map(|i| i as f32 / 100.0).collect();
    let tensor = Tensor::<1>::from_data(TensorData::new(inputs.clone(), [inputs.len()]), &device());
    let outputs = gelu(tensor).into_data().try_to_vec::<f32>().unwrap();
    for (x, found) in inputs.into_iter().zip(outputs) {
        let x = f64::from(x);
        let expected = 0.5 * x * (1.0 + erf(x / 2f64.sqrt()));
        assert!(
            (f64::from(found) - expected).abs() < GELU_TOLERANCE,
            "gelu({x}) is {expected}, found {found}"
        );
    }
}

#[test]
fn gelu_gradient_equals_burn() {
    let input = (random([7, 33], 1, &device()) * 4.0).require_grad();
    let ours = gelu(input.clone()).powi_scalar(2).sum().backward();
    let theirs = activation::gelu(input.clone()).powi_scalar(2).sum().backward();
    assert_close("gradient", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
}
