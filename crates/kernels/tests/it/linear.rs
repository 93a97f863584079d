//! The linear layer against Burn's matrix product.

use bipvl_kernels::linear;
use burn::tensor::Tensor;
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

fn check(shape: [usize; 3], out_features: usize, with_bias: bool) {
    let device = device();
    let input = random(shape, 1, &device).require_grad();
    let weight = random([shape[2], out_features], 2, &device).require_grad();
    let bias = with_bias.then(|| random([out_features], 3, &device).require_grad());
    let output_grad = random([shape[0], shape[1], out_features], 4, &device);
    let ours = linear(input.clone(), weight.clone(), bias.clone());
    let mut theirs = input.clone().matmul(weight.clone().unsqueeze());
    if let Some(bias) = &bias {
        theirs = theirs + bias.clone().unsqueeze();
    }
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) =
        ((ours * output_grad.clone()).sum().backward(), (theirs * output_grad).sum().backward());
    assert_close("input", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
    assert_close("weight", weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap());
    if let Some(bias) = bias {
        assert_close("bias", bias.grad(&ours).unwrap(), bias.grad(&theirs).unwrap());
    }
}

#[test]
fn rows_of_several_tasks_equal_burn() {
    check([2, 300, 7], 130, true);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_burn(
        shape in prop::array::uniform3(1usize..40),
        out_features in 1usize..110,
        with_bias in any::<bool>(),
    ) {
        check(shape, out_features, with_bias);
    }
}

#[test]
fn weight_gets_its_gradient_when_the_input_is_frozen() {
    let device = device();
    let input = Tensor::<2>::ones([3, 4], &device);
    let weight = random([4, 5], 1, &device).require_grad();
    let gradients = linear(input, weight.clone(), None).sum().backward();
    // Three rows of ones.
    let found = weight.grad(&gradients).unwrap();
    assert_close("weight", found.clone(), found.ones_like() * 3.0);
}
