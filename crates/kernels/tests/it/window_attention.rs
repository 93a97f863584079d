//! Window attention against windows cut out with Burn's operations.

use bipvl_kernels::{WindowAttentionInput, WindowPartition, window_attention};
use burn::tensor::{Int, Tensor, TensorData, activation};
use proptest::prelude::*;

use crate::{assert_close, device, random::random};

/// Added to the score of two tokens of different regions, as in MONAI.
const SHIFT_MASK_VALUE: f32 = -100.0;

/// For each window, the region and the voxel of each token; no voxel for padding.
fn tokens_of(partition: WindowPartition) -> Vec<Vec<([usize; 3], Option<usize>)>> {
    let WindowPartition { size: map, window_shape: window, shift, .. } = partition;
    let padded: [usize; 3] = std::array::from_fn(|axis| map[axis].next_multiple_of(window[axis]));
    let mut all = Vec::new();
    for corner in indices(std::array::from_fn(|axis| padded[axis] / window[axis])) {
        let tokens = indices(window).map(|token| {
            let rolled: [usize; 3] = std::array::from_fn(|axis| corner[axis] * window[axis] + token[axis]);
            let [x, y, z] = std::array::from_fn(|axis| (rolled[axis] + shift[axis]) % padded[axis]);
            let inside = x < map[0] && y < map[1] && z < map[2];
            // Wrapped around the far end of an axis, a token is of another region.
            let region = std::array::from_fn(|axis| usize::from(rolled[axis] + shift[axis] >= padded[axis]));
            (region, inside.then_some((x * map[1] + y) * map[2] + z))
        });
        all.push(tokens.collect());
    }
    all
}

fn indices(shape: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [x, y, z] = shape;
    (0..x * y * z).map(move |index| [index / (y * z), index / z % y, index % z])
}

/// The padding token is appended after the last voxel of each sample.
fn burn_window_attention(input: WindowAttentionInput) -> Tensor<5> {
    let WindowAttentionInput { qkv, padding_token: padding, bias_table, partition } = input;
    let ([batch, x, y, z, channels], [_, heads]) = (qkv.dims(), bias_table.dims());
    let (voxels, width, side) = (x * y * z, channels / 3 / heads, 2 * partition.window_size - 1);
    let padding = padding.reshape([1, 1, channels]).repeat_dim(0, batch);
    let tokens = Tensor::cat(vec![qkv.reshape([batch, voxels, channels]), padding], 1);
    let device = tokens.device();
    let all_full: Vec<[usize; 3]> = indices([partition.window_size; 3]).collect();
    let mut output = Tensor::<3>::zeros([batch, voxels, channels / 3], &device);
    for window in tokens_of(partition) {
        let count = window.len();
        let index: Vec<i64> = window.iter().map(|(_, at)| at.unwrap_or(voxels) as i64).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [count]), &device);
        // [batch, count, 3, heads, width] -> three times [batch, heads, count, width]
        let cut = tokens.clone().select(1, index.clone()).reshape([batch, count, 3, heads, width]);
        let part = |part: usize| cut.clone().narrow(2, part, 1).squeeze_dim::<4>(2).swap_dims(1, 2);
        let mut mask = Vec::new();
        let mut positions = Vec::new();
        for (query, (region, _)) in window.iter().enumerate() {
            for (key, (other, _)) in window.iter().enumerate() {
                mask.push(if region == other { 0.0 } else { SHIFT_MASK_VALUE });
                let away =
                    |axis: usize| all_full[query][axis] + partition.window_size - 1 - all_full[key][axis];
                positions.push(((away(0) * side + away(1)) * side + away(2)) as i64);
            }
        }
        let mask = Tensor::<4>::from_data(TensorData::new(mask, [1, 1, count, count]), &device);
        let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [count * count]), &device);
        let bias = bias_table.clone().select(0, positions).reshape([1, count, count, heads]);
        let scores = part(0).matmul(part(1).transpose()) / (width as f64).sqrt();
        let weights = activation::softmax(scores + bias.permute([0, 3, 1, 2]) + mask, 3);
        let attended = weights.matmul(part(2)).swap_dims(1, 2).reshape([batch, count, channels / 3]);
        for (token, (_, at)) in window.iter().enumerate() {
            if let Some(at) = at {
                let row = attended.clone().narrow(1, token, 1);
                output = output.slice_assign([0..batch, *at..at + 1, 0..channels / 3], row);
            }
        }
    }
    output.reshape([batch, x, y, z, channels / 3])
}

fn check(batch: usize, heads: usize, width: usize, partition: WindowPartition) {
    let device = device();
    let ([x, y, z], channels) = (partition.size, 3 * heads * width);
    let qkv = (random([batch, x, y, z, channels], 1, &device) * 2.0).require_grad();
    let padding = random([channels], 2, &device).require_grad();
    let bias_table = random([(2 * partition.window_size - 1).pow(3), heads], 3, &device).require_grad();
    let input = || WindowAttentionInput {
        qkv: qkv.clone(),
        padding_token: padding.clone(),
        bias_table: bias_table.clone(),
        partition,
    };
    let weight = random([batch, x, y, z, channels / 3], 4, &device);
    let (ours, theirs) = (window_attention(input()), burn_window_attention(input()));
    assert_close("output", ours.clone(), theirs.clone());
    let (ours, theirs) = ((ours * weight.clone()).sum().backward(), (theirs * weight).sum().backward());
    assert_close("qkv", qkv.grad(&ours).unwrap(), qkv.grad(&theirs).unwrap());
    assert_close("padding", padding.grad(&ours).unwrap(), padding.grad(&theirs).unwrap());
    assert_close("table", bias_table.grad(&ours).unwrap(), bias_table.grad(&theirs).unwrap());
}

#[test]
fn plain_windows_equal_burn() {
    check(2, 3, 4, WindowPartition::new([6, 6, 6], 3, 0));
}

#[test]
fn shifted_and_padded_windows_equal_burn() {
    check(1, 2, 8, WindowPartition::new([7, 4, 9], 4, 2));
    check(1, 1, 16, WindowPartition::new([9, 8, 7], 7, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_equals_burn(
        batch in 1usize..3,
        heads in 1usize..4,
        width in 1usize..20,
        map in prop::array::uniform3(1usize..7),
        side in 2usize..5,
        shifted in any::<bool>(),
    ) {
        check(batch, heads, width, WindowPartition::new(map, side, if shifted { side / 2 } else { 0 }));
    }
}
