//! Operations overwrite a tensor that is the only handle of its storage, and no other.

use bipvl_kernels::{gelu, instance_norm, instance_norm_add};
use burn::tensor::{Device, Tensor};

use crate::random::random;

const SHAPE: [usize; 5] = [2, 3, 5, 4, 7];

/// Runs an operation on a shared and on a unique tensor: both give the same bits, and the shared one keeps its values.
fn check(run: impl Fn(Tensor<5>) -> Tensor<5>) {
    let device = Device::flex();
    let shared = random(SHAPE, 1, &device);
    let from_shared = run(shared.clone());
    shared.into_data().assert_eq(&random(SHAPE, 1, &device).into_data(), true);
    from_shared.into_data().assert_eq(&run(random(SHAPE, 1, &device)).into_data(), true);
}

#[test]
fn a_shared_input_is_not_overwritten() {
    check(gelu);
    check(|input| instance_norm(input, 1e-5, 0.01));
    check(|input| instance_norm_add(input, random(SHAPE, 2, &Device::flex()), 1e-5, 0.01));
    check(|input| instance_norm_add(random(SHAPE, 2, &Device::flex()), input, 1e-5, 0.01));
}

#[test]
fn a_slice_of_a_tensor_gives_the_slice_of_the_output() {
    let device = Device::flex();
    let whole = || random([6, 3, 5, 4, 7], 3, &device);
    let (expected, shared) = (gelu(whole()).slice_dim(0, 2..4).into_data(), whole());
    gelu(shared.clone().slice_dim(0, 2..4)).into_data().assert_eq(&expected, true);
    shared.into_data().assert_eq(&whole().into_data(), true);
    gelu(whole().slice_dim(0, 2..4)).into_data().assert_eq(&expected, true);
}
