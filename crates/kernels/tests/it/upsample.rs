//! The transposed convolution with concatenation against Burn's.

use bipvl_kernels::conv_transpose3d_concat;
use burn::tensor::{Tensor, module, ops::ConvTransposeOptions};
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

/// Burn takes filters `[in_channels, out_channels, 2, 2, 2]` and channels-first maps.
fn burn_conv_transpose3d_concat(input: Tensor<5>, weight: Tensor<2>, skip: Tensor<5>) -> Tensor<5> {
    let [in_channels, columns] = weight.dims();
    let filter = weight.reshape([in_channels, 2, 2, 2, columns / 8]).permute([0, 4, 1, 2, 3]);
    let options = ConvTransposeOptions::new([2; 3], [0; 3], [0; 3], [1; 3], 1);
    let up = module::conv_transpose3d(input.permute([0, 4, 1, 2, 3]), filter, None, options);
    Tensor::cat(vec![up.permute([0, 2, 3, 4, 1]), skip], 4)
}

fn check(size: [usize; 4], [in_channels, out_channels, skip_channels]: [usize; 3]) {
    let ([batch, x, y, z], device) = (size, device());
    let input = random([batch, x, y, z, in_channels], 1, &device).require_grad();
    let weight = random([in_channels, 8 * out_channels], 2, &device).require_grad();
    let skip = random([batch, 2 * x, 2 * y, 2 * z, skip_channels], 3, &device).require_grad();
    let ours = conv_transpose3d_concat(input.clone(), weight.clone(), skip.clone());
    let theirs = burn_conv_transpose3d_concat(input.clone(), weight.clone(), skip.clone());
    assert_close("output", ours.clone(), theirs.clone());
    let output_grad = random(ours.dims(), 4, &device);
    let (ours, theirs) =
        ((ours * output_grad.clone()).sum().backward(), (theirs * output_grad).sum().backward());
    assert_close("input", input.grad(&ours).unwrap(), input.grad(&theirs).unwrap());
    assert_close("weight", weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap());
    assert_close("skip", skip.grad(&ours).unwrap(), skip.grad(&theirs).unwrap());
}

#[test]
fn several_tasks_and_panels_equal_burn() {
    check([2, 5, 6, 7], [10, 70, 9]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_burn(
        size in prop::array::uniform4(1usize..5),
        channels in prop::array::uniform3(1usize..20),
    ) {
        check(size, channels);
    }
}
