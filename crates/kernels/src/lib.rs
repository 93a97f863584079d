//! CPU kernels for three-dimensional networks: differentiable operations on Burn tensors.
//!
//! Feature maps are channels-last, `[batch, x, y, z, channels]`: the channels of a voxel are contiguous. On the CPU each
//! operation runs a kernel of this crate, on any other device the same computation in Burn's operations. Results do
//! not depend on the number of threads: work is divided by shape, and partial sums are added in a fixed order.
#![allow(
    unsafe_code,
    reason = "the only crate that may: products of overlapping rows, memory maps, allocator settings"
)]
#![allow(
    clippy::inline_always,
    reason = "only an inlined body is compiled with its caller's instruction set"
)]

mod adamw;
mod attention;
mod checkpoint;
mod conv3d;
mod flex;
mod gelu;
mod grad_hook;
mod linear;
mod mask_sums;
mod matrix;
mod memory;
mod microkernel;
mod norm;
mod op;
mod scatter;
mod simd;
mod uninit;
mod upsample;
mod window_attention;

pub use adamw::{AdamWState, AdamWStep, adamw};
pub use attention::{AttentionInput, attention};
pub use checkpoint::checkpoint;
pub use conv3d::conv3d;
pub use gelu::gelu;
pub use grad_hook::{GradHook, with_grad_hook};
pub use linear::linear;
pub use mask_sums::{MaskSums, mask_sums};
pub use memory::{map_file, tune_malloc};
pub use norm::{instance_norm, instance_norm_add, layer_norm};
pub use upsample::conv_transpose3d_concat;
pub use window_attention::{WindowAttentionInput, WindowPartition, window_attention};
