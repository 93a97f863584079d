//! Normalization against its formula in Burn's operations.

use bipvl_kernels::{instance_norm, instance_norm_add, layer_norm};
use burn::tensor::{Tensor, activation};
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

const EPSILON: f32 = 1e-5;

fn burn_normalize<const D: usize>(input: Tensor<D>, axis: usize) -> Tensor<D> {
    let centered = input.clone() - input.mean_dim(axis);
    centered.clone() / (centered.square().mean_dim(axis) + EPSILON).sqrt()
}

fn burn_instance_norm(input: Tensor<5>, negative_slope: f64) -> Tensor<5> {
    let [batch, x, y, z, channels] = input.dims();
    let normal = burn_normalize(input.reshape([batch, x * y * z, channels]), 1);
    activation::leaky_relu(normal, negative_slope).reshape([batch, x, y, z, channels])
}

fn check_instance_norm(shape: [usize; 5], negative_slope: f32) {
    let input = (random(shape, 1, &device()) * 3.0 + 7.0).require_grad();
    let weight = random(shape, 2, &device());
    let ours = instance_norm(input.clone(), EPSILON, negative_slope);
    let theirs = burn_instance_norm(input.clone(), f64::from(negative_slope));
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) = ((ours * weight.clone()).sum().backward(), (theirs * weight).sum().backward());
    assert_close("gradient", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
}

#[test]
fn instance_norm_equals_its_formula() {
    check_instance_norm([2, 5, 6, 7, 3], 0.01);
    check_instance_norm([1, 11, 12, 13, 17], 1.0);
}

fn check_instance_norm_add(shape: [usize; 5], residual: Tensor<5>, negative_slope: f32) {
    let input = (random(shape, 1, &device()) * 3.0 + 7.0).require_grad();
    let residual = residual.require_grad();
    let weight = random(shape, 3, &device());
    let ours = instance_norm_add(input.clone(), residual.clone(), EPSILON, negative_slope);
    let sum = burn_instance_norm(input.clone(), 1.0) + residual.clone();
    let theirs = activation::leaky_relu(sum, f64::from(negative_slope));
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) = ((ours * weight.clone()).sum().backward(), (theirs * weight).sum().backward());
    assert_close("input", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
    assert_close("residual", residual.grad(&ours).unwrap(), residual.grad(&theirs).unwrap());
}

#[test]
fn instance_norm_add_equals_its_formula() {
    for (shape, negative_slope) in
        [([2, 5, 6, 7, 3], 0.01), ([1, 11, 12, 13, 17], 0.2), ([3, 1, 2, 3, 1], 0.01)]
    {
        check_instance_norm_add(shape, random(shape, 2, &device()), negative_slope);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_the_formula(
        batch in 1usize..4,
        [x, y, z] in prop::array::uniform3(2usize..12),
        channels in 1usize..40,
    ) {
        let shape = [batch, x, y, z, channels];
        check_instance_norm(shape, 1.0);
        // Sums stay away from zero, where rounding decides the side of the activation.
        check_instance_norm_add(shape, random(shape, 2, &device()).sign() * 8.0, 0.01);
        // With few channels a norm is nearly a sign, and gradients nearly rounding.
        check_layer_norm([batch, x * y * z, channels + 7]);
    }
}

#[test]
fn a_tensor_that_is_input_and_residual_gets_both_gradients() {
    let input = random([2, 3, 4, 5, 6], 1, &device()).require_grad();
    let ours = instance_norm_add(input.clone(), input.clone(), EPSILON, 0.1);
    let theirs = activation::leaky_relu(burn_instance_norm(input.clone(), 1.0) + input.clone(), 0.1);
    let (ours, theirs) = (ours.powi_scalar(3).sum().backward(), theirs.powi_scalar(3).sum().backward());
    assert_close("input", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
}

#[test]
fn instance_norm_of_a_single_voxel_is_zero() {
    let output = instance_norm(random([2, 1, 1, 1, 4], 1, &device()), EPSILON, 0.01);
    assert_eq!(output.abs().max().into_scalar::<f32>(), 0.0);
}

fn check_layer_norm(shape: [usize; 3]) {
    let channels = [shape[2]];
    let input = (random(shape, 1, &device()) * 2.0 - 5.0).require_grad();
    let gamma = random(channels, 2, &device()).require_grad();
    let beta = random(channels, 3, &device()).require_grad();
    let weight = random(shape, 4, &device());
    let ours = layer_norm(input.clone(), gamma.clone(), beta.clone(), EPSILON);
    let theirs = burn_normalize(input.clone(), 2) * gamma.clone().unsqueeze() + beta.clone().unsqueeze();
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) = ((ours * weight.clone()).sum().backward(), (theirs * weight).sum().backward());
    assert_close("input", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
    assert_close("gamma", gamma.grad(&ours).unwrap(), gamma.grad(&theirs).unwrap());
    assert_close("beta", beta.grad(&ours).unwrap(), beta.grad(&theirs).unwrap());
}

#[test]
fn layer_norm_equals_its_formula() {
    check_layer_norm([3, 700, 19]);
}
