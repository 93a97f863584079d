//! Every kernel against Burn's own operation, forward and backward, over odd shapes.
#![allow(clippy::unwrap_used, reason = "the lint knows tests, but not the functions that help them")]

mod adamw;
mod attention;
mod checkpoint;
mod conv3d;
mod gelu;
mod gradient_check;
mod in_place;
mod linear;
mod mask_sums;
mod norm;
mod op;
mod random;
mod upsample;
mod window_attention;

use burn::tensor::{Device, Tensor};

/// Relative to the largest value: kernels and Burn sum float32 in different orders.
const TOLERANCE: f32 = 2e-5;

/// CPU with autodiff.
fn device() -> Device {
    Device::flex().autodiff()
}

/// Panics when the largest difference exceeds [`TOLERANCE`] times the largest expected value (or 1e-3).
fn assert_close<const D: usize>(what: &str, found: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shape");
    let largest = expected.clone().abs().max().into_scalar::<f32>().max(1e-3);
    let difference = (found - expected).abs().max().into_scalar::<f32>();
    assert!(difference <= TOLERANCE * largest, "{what}: differs by {difference}, largest is {largest}");
}
