//! The kernels where they fall back on Burn's operations, against the processor.

use bipvl::device::DeviceKind;
use bipvl_kernels::{
    AttentionInput, WindowAttentionInput, WindowPartition, attention, conv_transpose3d_concat, conv3d, gelu,
    instance_norm, instance_norm_add, layer_norm, linear, window_attention,
};
use burn::tensor::{Device, Tensor};

use crate::reference::made;

/// float32 in another order of summation, relative to the largest value.
const TOLERANCE: f32 = 1e-5;

/// The values of every operation on a device, by name.
fn outputs(device: &Device) -> Vec<(&'static str, Vec<f32>)> {
    let map = |name: &str, side: usize, channels: usize| -> Tensor<5> {
        made(name, [1, side, side, side, channels], device)
    };
    let (query, key) = (made("query", [2, 10, 2, 8], device), made("key", [2, 6, 2, 8], device));
    let partition = WindowPartition::new([9; 3], 4, 2);
    let bias_table = made("table", [7 * 7 * 7, 2], device);
    vec![
        ("conv3d", values(conv3d(map("a", 9, 6), made("filter", [3, 3, 3, 6, 10], device)))),
        ("linear", values(linear(map("a", 5, 6), made("w", [6, 10], device), Some(made("b", [10], device))))),
        ("gelu", values(gelu(map("a", 5, 6)))),
        ("instance_norm", values(instance_norm(map("a", 9, 6), 1e-5, 0.01))),
        ("instance_norm_add", values(instance_norm_add(map("a", 9, 6), map("b", 9, 6), 1e-5, 0.01))),
        (
            "layer_norm",
            values(layer_norm(map("a", 5, 6), made("scale", [6], device), made("shift", [6], device), 1e-5)),
        ),
        (
            "conv_transpose3d_concat",
            values(conv_transpose3d_concat(
                map("a", 4, 6),
                made("up", [6, 8 * 5], device),
                map("skip", 8, 3),
            )),
        ),
        (
            "attention",
            values(attention(AttentionInput { query, value: key.clone(), key, bias: None, mask: None })),
        ),
        (
            "window_attention",
            values(window_attention(WindowAttentionInput {
                qkv: map("qkv", 9, 3 * 16),
                padding_token: made("padding", [3 * 16], device),
                bias_table,
                partition,
            })),
        ),
    ]
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

#[test]
fn every_operation_gives_what_the_processor_gives() {
    let expected = outputs(&Device::flex());
    let found = outputs(&DeviceKind::Vulkan.open().unwrap());
    let mut wrong = Vec::new();
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let largest = expected.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let pairs = found.iter().zip(expected);
        let difference =
            pairs.map(|(found, expected)| (found - expected).abs()).max_by(f32::total_cmp).unwrap();
        let is_close = difference <= TOLERANCE * largest;
        if found.len() != expected.len() || !is_close {
            wrong.push(format!("{name}: differs by {difference}, the largest value is {largest}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
