//! Fast CPU kernels for three-dimensional networks, plugged into Burn as backend extensions.
//!
//! Feature maps are channels-last, `[batch, x, y, z, channels]`, so that the channels of a voxel are
//! one contiguous run. Each operation is an ordinary differentiable function on tensors: on the CPU it
//! runs our kernel, on any other device it falls back on Burn's own operations (the same body the
//! tests compare with). Results do not depend on the number of threads: work is cut by shape, and
//! partial sums are added in a fixed order.
#![allow(
    unsafe_code,
    reason = "the only crate that may: products of overlapping rows, memory maps, allocator settings"
)]
#![allow(clippy::inline_always, reason = "only an inlined body is compiled with its caller's instructions")]

mod adamw;
mod attention;
mod conv3d;
mod extension;
mod fresh;
mod gelu;
mod linear;
mod matrix;
mod memory;
mod norm;
mod product;
mod checkpoint;
mod scatter;
mod upsample;
mod vector;
mod window_attention;

pub use adamw::{AdamWState, AdamWStep, adamw};
pub use attention::{AttentionInput, attention};
pub use checkpoint::checkpoint;
pub use conv3d::conv3d;
pub use gelu::gelu;
pub use linear::linear;
pub use memory::{map_file, tune_malloc};
pub use norm::{instance_norm, instance_norm_add, layer_norm};
pub use upsample::conv_transpose3d_concat;
pub use window_attention::{WindowAttentionInput, WindowPartition, window_attention};
