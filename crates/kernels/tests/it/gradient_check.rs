//! Gradients against central finite differences, as `torch.autograd.gradcheck`.

use bipvl_kernels::{
    AttentionInput, WindowAttentionInput, WindowPartition, attention, conv_transpose3d_concat, conv3d, gelu,
    instance_norm, instance_norm_add, layer_norm, linear, window_attention,
};
use burn::tensor::Tensor;

use crate::{device, random::random};

/// Step of the central difference: rounding and curvature are both small.
const STEP: f32 = 1e-2;
/// Relative to the norms of gradient and direction: float32 rounding and curvature.
const TOLERANCE: f64 = 2e-3;

/// Compares the directional derivative of `loss` along a random direction with its gradient.
fn check<const D: usize>(what: &str, at: Tensor<D>, loss: impl Fn(Tensor<D>) -> Tensor<1>) {
    let at = at.require_grad();
    let gradient = at.grad(&loss(at.clone()).backward()).expect("the tensor is tracked");
    let at = at.inner();
    let direction = random(at.dims(), 99, &at.device());
    let value = |step: f32| {
        let moved = Tensor::from_inner(at.clone() + direction.clone() * step);
        f64::from(loss(moved).into_scalar::<f32>())
    };
    let found = (value(STEP) - value(-STEP)) / f64::from(2.0 * STEP);
    let product =
        |a: &Tensor<D>, b: &Tensor<D>| f64::from((a.clone() * b.clone()).sum().into_scalar::<f32>());
    let expected = product(&gradient, &direction);
    let length = (product(&gradient, &gradient) * product(&direction, &direction)).sqrt();
    assert!(
        (found - expected).abs() <= TOLERANCE * length,
        "{what}: the finite difference is {found}, the gradient gives {expected}"
    );
}

/// A scalar whose gradient is different everywhere.
fn weighed<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    let weight = random(output.dims(), 98, &output.device());
    (output * weight).sum()
}

#[test]
fn convolution() {
    for side in [3, 6] {
        let input = random([1, side, side, side, 9], 1, &device());
        let weight = random([3, 3, 3, 9, 5], 2, &device()) * 0.2;
        check("input", input.clone(), |input| weighed(conv3d(input, weight.clone())));
        check("weight", weight.clone(), |weight| weighed(conv3d(input.clone(), weight)));
    }
}

#[test]
fn linear_layer() {
    let (input, weight) = (random([3, 4, 9], 1, &device()), random([9, 5], 2, &device()));
    let bias = random([5], 3, &device());
    let run = |input, weight, bias| weighed(linear(input, weight, Some(bias)));
    check("input", input.clone(), |input| run(input, weight.clone(), bias.clone()));
    check("weight", weight.clone(), |weight| run(input.clone(), weight, bias.clone()));
    check("bias", bias.clone(), |bias| run(input.clone(), weight.clone(), bias));
}

#[test]
fn transposed_convolution() {
    let (map, weight) = (random([1, 2, 3, 2, 6], 1, &device()), random([6, 40], 2, &device()));
    let skip = random([1, 4, 6, 4, 3], 3, &device());
    let run = |map, weight, skip| weighed(conv_transpose3d_concat(map, weight, skip));
    check("map", map.clone(), |map| run(map, weight.clone(), skip.clone()));
    check("weight", weight.clone(), |weight| run(map.clone(), weight, skip.clone()));
    check("skip", skip.clone(), |skip| run(map.clone(), weight.clone(), skip));
}

#[test]
fn windowed_attention() {
    let partition = WindowPartition::new([4, 5, 3], 3, 1);
    let qkv = random([1, 4, 5, 3, 12], 1, &device());
    let padding = random([12], 2, &device());
    let table = random([125, 2], 3, &device());
    let run = |qkv, padding_token, bias_table| {
        weighed(window_attention(WindowAttentionInput { qkv, padding_token, bias_table, partition }))
    };
    check("qkv", qkv.clone(), |qkv| run(qkv, padding.clone(), table.clone()));
    check("padding", padding.clone(), |padding| run(qkv.clone(), padding, table.clone()));
    check("table", table.clone(), |table| run(qkv.clone(), padding.clone(), table));
}

#[test]
fn token_attention() {
    let tokens = |seed| random([4, 8, 2, 6], seed, &device());
    let bias = random([2, 8, 8], 4, &device());
    let mask = random([2, 8, 8], 5, &device());
    let run = |query, key, value, bias| {
        weighed(attention(AttentionInput { query, key, value, bias: Some(bias), mask: Some(mask.clone()) }))
    };
    let (q, k, v) = (tokens(1), tokens(2), tokens(3));
    check("query", q.clone(), |query| run(query, k.clone(), v.clone(), bias.clone()));
    check("key", k.clone(), |key| run(q.clone(), key, v.clone(), bias.clone()));
    check("value", v.clone(), |value| run(q.clone(), k.clone(), value, bias.clone()));
    check("bias", bias.clone(), |bias| run(q.clone(), k.clone(), v.clone(), bias));
}

#[test]
fn norms() {
    let map = random([2, 3, 4, 5, 6], 1, &device());
    check("instance norm", map.clone(), |map| weighed(instance_norm(map, 1e-5, 1.0)));
    // Sums stay away from zero, where the derivative jumps.
    let residual = random([2, 3, 4, 5, 6], 5, &device()).sign() * 5.0;
    check("input", map.clone(), |map| weighed(instance_norm_add(map, residual.clone(), 1e-5, 0.1)));
    check("residual", residual.clone(), |residual| {
        weighed(instance_norm_add(map.clone(), residual, 1e-5, 0.1))
    });
    let (gamma, beta) = (random([17], 2, &device()), random([17], 3, &device()));
    let tokens = random([2, 9, 17], 4, &device());
    check("tokens", tokens.clone(), |x| weighed(layer_norm(x, gamma.clone(), beta.clone(), 1e-5)));
    check("gamma", gamma.clone(), |gamma| weighed(layer_norm(tokens.clone(), gamma, beta.clone(), 1e-5)));
    check("beta", beta.clone(), |beta| weighed(layer_norm(tokens.clone(), gamma.clone(), beta, 1e-5)));
}

#[test]
fn activations() {
    check("gelu", random([5, 33], 1, &device()) * 3.0, |x| weighed(gelu(x)));
}
