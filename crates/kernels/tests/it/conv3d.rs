//! The 3³ convolution against Burn's.

use bipvl_kernels::conv3d;
use burn::tensor::{Tensor, module, ops::ConvOptions};
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

fn burn_conv3d(input: Tensor<5>, weight: Tensor<5>) -> Tensor<5> {
    let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    let input = input.permute([0, 4, 1, 2, 3]);
    module::conv3d(input, weight.permute([4, 3, 0, 1, 2]), None, options).permute([0, 2, 3, 4, 1])
}

/// `[batch, x, y, z, in_channels, out_channels]`
fn check([batch, x, y, z, in_channels, out_channels]: [usize; 6]) {
    let device = device();
    let input = random([batch, x, y, z, in_channels], 1, &device).require_grad();
    let weight = random([3, 3, 3, in_channels, out_channels], 2, &device).require_grad();
    let output_grad = random([batch, x, y, z, out_channels], 3, &device);
    let ours = conv3d(input.clone(), weight.clone());
    let theirs = burn_conv3d(input.clone(), weight.clone());
    assert_close("output", ours.clone(), theirs.clone());
    let ours = (ours * output_grad.clone()).sum().backward();
    let theirs = (theirs * output_grad).sum().backward();
    for (what, tensor) in [("input", input), ("weight", weight)] {
        let gradient = |gradients| tensor.grad(gradients).expect("the tensor is tracked");
        assert_close(what, gradient(&ours), gradient(&theirs));
    }
}

#[test]
fn equals_burn_on_a_small_cube() {
    check([1, 4, 4, 4, 3, 5]);
}

#[test]
fn equals_burn_on_uneven_sides_and_a_batch() {
    check([2, 5, 3, 7, 4, 6]);
}

#[test]
fn equals_burn_on_a_single_voxel() {
    check([3, 1, 1, 1, 8, 2]);
}

#[test]
fn equals_burn_where_planes_are_divided() {
    check([2, 3, 33, 19, 2, 3]);
}

#[test]
fn equals_burn_with_one_channel() {
    check([1, 20, 18, 16, 1, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Covers all algorithms, numbers of channels around the width of a vector, odd and even sides.
    #[test]
    fn equals_burn_on_any_shape(
        batch in 1usize..3,
        side in prop::array::uniform3(1usize..12),
        channels in prop::array::uniform2(1usize..70),
    ) {
        let [x, y, z] = side;
        check([batch, x, y, z, channels[0], channels[1]]);
    }
}

/// Wide maps take several blocks of tiles and several panels of channels.
#[test]
fn equals_burn_where_tiles_are_divided() {
    check([2, 7, 23, 21, 9, 100]);
    check([1, 3, 3, 230, 24, 17]);
}
