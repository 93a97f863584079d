//! Attention inside (shifted) windows of a feature map with a learned bias per relative position. Windows are read
//! where they lie in the map, never cut out, rolled or padded in memory.

mod cpu;
mod forward;
mod gradient;
mod partition;

use burn::tensor::{Int, Tensor, TensorData};

use crate::{
    AttentionInput, attention,
    flex::{Contiguous, dims, on_cpu, tensor},
    op::{CpuTensor, Op, Saved, apply},
};
pub use partition::WindowPartition;

/// Inputs of [`window_attention`].
#[derive(Clone, Debug)]
pub struct WindowAttentionInput {
    /// Query, key and value of each token, `[batch, x, y, z, 3 · heads · width]`.
    pub qkv: Tensor<5>,
    /// Query, key and value of a token that pads the map to whole windows, `[3 · heads · width]`.
    pub padding_token: Tensor<1>,
    /// Relative position bias per head, `[(2 · window_size − 1)³, heads]`.
    pub bias_table: Tensor<2>,
    /// How the map is cut into windows.
    pub partition: WindowPartition,
}

/// `softmax(query · keyᵀ / √width + bias) · value` for each head and window. The shift mask of Swin lowers the score of
/// two tokens that are neighbors only by the cyclic shift by 100.
///
/// # Shapes
///
/// - output: `[batch, x, y, z, heads · width]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn window_attention(input: WindowAttentionInput) -> Tensor<5> {
    let WindowAttentionInput { qkv, padding_token, bias_table, partition } = input;
    let [_, x, y, z, channels] = qkv.dims();
    let [positions, heads] = bias_table.dims();
    assert_eq!([x, y, z], partition.size, "a partition has the size of its map");
    assert_eq!(
        positions,
        (2 * partition.window_size - 1).pow(3),
        "one row of the table per relative position"
    );
    assert!(channels.is_multiple_of(3 * heads), "the number of heads divides the channels");
    assert_eq!(padding_token.dims(), [channels], "the padding token has the channels of the map");
    if !on_cpu(&qkv) {
        return fallback(WindowAttentionInput { qkv, padding_token, bias_table, partition });
    }
    let inputs = [qkv.into_dispatch(), padding_token.into_dispatch(), bias_table.into_dispatch()];
    apply(WindowAttentionOp { partition }, inputs)
}

fn fallback(input: WindowAttentionInput) -> Tensor<5> {
    let WindowAttentionInput { qkv, padding_token, bias_table, partition } = input;
    let device = qkv.device();
    let [.., channels] = qkv.dims();
    let [_, heads] = bias_table.dims();
    let tokens = partition.tokens();
    // Padding with zeros pads with the token after subtracting it.
    let padding = padding_token.reshape([1, 1, channels]);
    let cut = partition.partition(qkv - padding.clone().reshape([1, 1, 1, 1, channels])) + padding;
    let [total, ..] = cut.dims();
    let [query, key, value] = cut
        .reshape([total, tokens, 3, heads, channels / 3 / heads])
        .split(1, 2)
        .try_into()
        .map(|parts: [Tensor<5>; 3]| parts.map(|part| part.squeeze_dim::<4>(2)))
        .expect("query, key and value are three");
    let index: Vec<i64> = partition.relative_position_index().into_iter().map(i64::from).collect();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [tokens * tokens]), &device);
    let bias = bias_table.select(0, index).reshape([tokens, tokens, heads]).permute([2, 0, 1]);
    let mask = partition.shift_mask().map(|mask| {
        let shape = [mask.len() / tokens / tokens, tokens, tokens];
        Tensor::from_data(TensorData::new(mask, shape), &device)
    });
    let attended = attention(AttentionInput { query, key, value, bias: Some(bias), mask });
    partition.reverse(attended.reshape([total, tokens, channels / 3]))
}

/// Inputs: tokens, padding token and bias table.
#[derive(Clone, Debug)]
struct WindowAttentionOp {
    partition: WindowPartition,
}

impl Op<3> for WindowAttentionOp {
    const SAVED_INPUTS: [bool; 3] = [true; 3];

    fn forward(&self, inputs: [CpuTensor; 3]) -> CpuTensor {
        let [batch, x, y, z, channels] = dims(&inputs[0]);
        let shape = self.shape(&inputs);
        let inputs = inputs.map(Contiguous::new);
        tensor(forward::forward(&shape, slices(&inputs)), [batch, x, y, z, channels / 3])
    }

    fn backward(&self, mut saved: Saved<3>, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let inputs = [0, 1, 2].map(|index| saved.input(index));
        let (qkv, padding, bias_table) =
            (dims::<5>(&inputs[0]), dims::<1>(&inputs[1]), dims::<2>(&inputs[2]));
        let shape = self.shape(&inputs);
        let inputs = inputs.map(Contiguous::new);
        let grad = Contiguous::new(grad);
        let gradients = gradient::backward(&shape, slices(&inputs), grad.values());
        [
            Some(tensor(gradients.qkv, qkv)),
            Some(tensor(gradients.padding, padding)),
            Some(tensor(gradients.bias_table, bias_table)),
        ]
    }
}

impl WindowAttentionOp {
    fn shape(&self, [qkv, _, bias_table]: &[CpuTensor; 3]) -> cpu::WindowAttentionShape {
        let ([batch, .., channels], [_, heads]) = (dims::<5>(qkv), dims(bias_table));
        let width = channels / 3 / heads;
        cpu::WindowAttentionShape { batch, heads, width, partition: self.partition }
    }
}

fn slices(inputs: &[Contiguous; 3]) -> cpu::WindowAttentionSlices<'_> {
    let [qkv, padding, bias_table] = inputs.each_ref().map(Contiguous::values);
    cpu::WindowAttentionSlices { qkv, padding, bias_table }
}
